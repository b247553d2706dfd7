"""From a trained run to a row of the results table, with the texts that it was scored on."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from taskaware.analysis import plot_embeddings, separation, tsne
from taskaware.data.tasks import TaskExamples, output_text, serves_output
from taskaware.evaluate import bleu, confusion, other_language_share, vocabulary, wer
from taskaware.inference import decode_tasks, embed_examples
from taskaware.model.seq2seq import Seq2Seq
from taskaware.modulation.film import TCNParam
from taskaware.run import Run, embeddings_of, training_seconds, write_json, write_text
from taskaware.train.state import count_parameters


def score(run: Run, model: Seq2Seq, step: int, split: str = "test") -> dict[str, Any]:
    """Decode and score every task of a split; write results, hypotheses and references.

    Returns:
        One row of the results table.
    """
    examples = run.examples(split)
    embeddings = embeddings_of(run, model, step)
    scores: dict[str, float] = {}
    signatures: dict[str, str] = {}
    mixed: dict[str, float] = {}
    foreign: dict[str, float] = {}
    decoded = decode_tasks(
        model, dict(enumerate(examples)), run.tokenizer, embeddings, run.experiment.decoding
    )
    for index, task in enumerate(examples):
        name, references, hypotheses = task.task.name, task.references(), decoded[index]
        measured = (bleu if task.task.metric == "bleu" else wer)(hypotheses, references)
        scores[f"{name}_{task.task.metric}"] = measured.value
        signatures[task.task.metric] = measured.signature
        others = other_references(task, examples)
        if any(others):
            mixed[name] = confusion(hypotheses, references, others)
            foreign[name] = _foreign_share(hypotheses, task, examples)
        write_text(run.folder / f"{split}.{name}.hyp.txt", "".join(f"{h}\n" for h in hypotheses))
        write_text(run.folder / f"{split}.{name}.ref.txt", "".join(f"{r}\n" for r in references))
    for measure in (mixed, foreign):
        if measure:
            measure["mean"] = float(np.mean(list(measure.values())))
    params = nnx.state(model)
    row = {
        "conditioning": run.experiment.model.conditioning,
        "strategy": "joint",
        "split": split,
        **scores,
        "confusion": mixed,
        "other_language_words": foreign,
        "bleu_signature": signatures.get("bleu"),
        "wer_normalizer": signatures.get("wer"),
        "train_steps": step // run.experiment.optimizer.accumulate,
        "seconds": training_seconds(run),
        "parameters": count_parameters(params),
        "tcn_parameters": count_parameters(params, TCNParam),
        "seed": run.experiment.seed,
        "decoding": dataclasses.asdict(run.experiment.decoding),
    }
    write_json(run.folder / "results.json", [row])
    return row


def hypotheses(run: Run, model: Seq2Seq, step: int, task: str, split: str) -> list[str]:
    """Return what the model makes of every example that a task has in a split."""
    index = [known.name for known in run.experiment.tasks].index(task)
    examples = {index: run.examples(split, only=task)[0]}
    embeddings = embeddings_of(run, model, step)
    return decode_tasks(model, examples, run.tokenizer, embeddings, run.experiment.decoding)[index]


def draw_embeddings(run: Run, model: Seq2Seq, out: Path, split: str = "test") -> float:
    """Draw the task embeddings of held-out examples by t-SNE; return their silhouette by task.

    Writes ``task_embeddings.png``, ``.svg`` and ``.csv`` into ``out``.
    """
    examples = run.examples(split)
    found = [embed_examples(model, index, task) for index, task in enumerate(examples)]
    labels = [task.task.name for task in examples for _ in task.rows]
    ids = [row.id for task in examples for row in task.rows]
    embedding_BZ = np.concatenate(found)
    points_B2 = tsne(embedding_BZ, run.experiment.seed)
    silhouette = separation(embedding_BZ, labels)
    title = f"task embeddings of held-out examples (silhouette {silhouette:.2f})"
    plot_embeddings(points_B2, labels, out / "task_embeddings", title)
    lines = [
        f"{label},{name},{x:.5f},{y:.5f}\n"
        for label, name, (x, y) in zip(labels, ids, points_B2, strict=True)
    ]
    write_text(out / "task_embeddings.csv", "task,id,x,y\n" + "".join(lines))
    return silhouette


def other_references(task: TaskExamples, tasks: list[TaskExamples]) -> list[tuple[str, ...]]:
    """Return, for each example, what the other tasks would have to make of the same input."""
    own = task.references()
    return [
        tuple(
            text
            for other in tasks
            if other is not task and serves_output(row, other.task)
            if (text := output_text(row, other.task)) != own[index]
        )
        for index, row in enumerate(task.rows)
    ]


def _foreign_share(hypotheses: list[str], task: TaskExamples, tasks: list[TaskExamples]) -> float:
    language = task.task.output_language
    texts = {True: [], False: []}
    for other in tasks:
        texts[other.task.output_language == language].extend(other.references())
    return other_language_share(hypotheses, vocabulary(texts[True]), vocabulary(texts[False]))
