"""From a trained run to a row of the results table, with the texts that it was scored on."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, assert_never

import numpy as np
from flax import nnx

from taskaware.analysis import plot_embeddings, plot_forgetting, separation, tsne
from taskaware.data.tasks import TaskExamples, output_text, serves_output
from taskaware.errors import UsageError
from taskaware.evaluate import (
    Score,
    confusion,
    evaluated,
    measure_of,
    other_language_share,
    vocabulary,
)
from taskaware.inference import (
    TaskEmbeddings,
    decode_tasks,
    embed_examples,
    task_embeddings,
    tell_long,
)
from taskaware.model.seq2seq import Seq2Seq
from taskaware.modulation.film import TCNParam
from taskaware.pretrained import digest
from taskaware.report import say, score_of
from taskaware.run import Run, read_json, write_json, write_text
from taskaware.task_vectors import TaskVector, TaskVectors
from taskaware.train.state import count_parameters
from taskaware.training import best_step, embeddings_of, restore, saved_steps, training_seconds

Selection = Literal["newest", "average", "best", "single", "taskwise"]
"""The newest checkpoint; the mean of the newest ones; the one of least validation loss; the one
whose scores on that split are best for all trained tasks together; or each task's own best one
there (paper §3.3.2)."""


def score(run: Run, split: str = "test", selection: Selection = "newest") -> dict[str, Any]:
    """Decode every task of a split, write hypotheses and references, then score them.

    An example whose reference holds nothing to score is left out of the score and counted in
    ``left_out``; a score, confusion or language share that nothing is left for is None.

    Returns:
        One row of the results table.
    """
    examples = run.examples(split)
    chosen = choose(run, selection)
    tell_long(examples, say)
    decoded, params = _decode(run, examples, chosen)
    for task, hypotheses in zip(examples, decoded, strict=True):
        _write_lines(run.folder / f"{split}.{task.task.name}.hyp.txt", hypotheses)
        _write_lines(run.folder / f"{split}.{task.task.name}.ref.txt", task.references())
    scores: dict[str, float | None] = {}
    signatures: dict[str, str | None] = {}
    left_out: dict[str, int] = {}
    mixed: dict[str, float | None] = {}
    foreign: dict[str, float | None] = {}
    for task, hypotheses in zip(examples, decoded, strict=True):
        name, metric = task.task.name, task.task.metric
        measured, left_out[name] = _measure(task, hypotheses)
        scores[f"{name}_{metric}"] = measured and measured.value
        signatures[name] = measured and measured.signature
        if count := left_out[name]:
            say(f"{name}: {count} of {len(hypotheses)} references hold nothing to score, left out")
        others = other_references(task, examples)
        mixed[name] = confusion(hypotheses, task.references(), others)
        foreign[name] = _foreign_share(hypotheses, task, examples) if any(others) else None
    for measure in (mixed, foreign):
        values = [value for value in measure.values() if value is not None]
        measure["mean"] = float(np.mean(values)) if values else None
    row = {
        "conditioning": run.experiment.model.conditioning,
        "strategy": run.experiment.strategy,
        "split": split,
        "selection": selection,
        "checkpoints": {
            task.task.name: list(steps) for task, steps in zip(examples, chosen, strict=True)
        },
        **scores,
        "confusion": mixed,
        "other_language_words": foreign,
        "signatures": signatures,
        "left_out": left_out,
        "train_steps": max(map(max, chosen)) // run.experiment.optimizer.accumulate,
        "seconds": training_seconds(run),
        "parameters": count_parameters(params),
        "tcn_parameters": count_parameters(params, TCNParam),
        "seed": run.experiment.seed,
        "decoding": dataclasses.asdict(run.experiment.decoding),
    }
    path = run.folder / "results.json"
    key = (split, selection)
    kept = [old for old in read_json(path, []) if (old["split"], old["selection"]) != key]
    write_json(path, [*kept, row])
    return row


def choose(run: Run, selection: Selection) -> list[tuple[int, ...]]:
    """Return, for each task, the steps of the checkpoints whose mean decodes it."""
    steps = saved_steps(run)
    tasks = run.experiment.tasks
    match selection:
        case "newest":
            return [steps[-1:]] * len(tasks)
        case "average":
            return [steps[-run.experiment.keep :]] * len(tasks)
        case "best":
            return [(best_step(run),)] * len(tasks)
        case "single" | "taskwise":
            regret_SN = regrets(run, _validation_scores(run, steps))
            if selection == "single":
                # The later one of equals: it has been trained longer.
                trained = run.experiment.trained
                best = min(steps[::-1], key=lambda step: sum(regret_SN[step][n] for n in trained))
                return [(best,)] * len(tasks)
            return [
                (min(steps[::-1], key=lambda step, n=n: regret_SN[step][n]),)
                for n in range(len(tasks))
            ]
        case _:
            assert_never(selection)


def regrets(run: Run, scores: dict[int, dict[str, float | None]]) -> dict[int, list[float]]:
    """Return each checkpoint's distance to every task's best score, in points of its metric."""
    regret: dict[int, list[float]] = {step: [] for step in scores}
    for task in run.experiment.tasks:
        gain = measure_of(task.metric).gain
        # No score at any checkpoint, where no reference can be scored: none is better than others.
        values = [gain * (of_task[task.name] or 0.0) for of_task in scores.values()]
        for step, value in zip(scores, values, strict=True):
            regret[step].append(max(values) - value)
    return regret


def _validation_scores(run: Run, steps: Sequence[int]) -> dict[int, dict[str, float | None]]:
    """Return every task's validation score at every checkpoint, computed once and stored."""
    path = run.folder / "validation_scores.json"
    stored = read_json(path, {})
    scores = {int(step): of_task for step, of_task in stored.items() if int(step) in steps}
    examples = run.examples("validation")
    tell_long(examples if set(steps) - set(scores) else [], say)
    for step in steps:
        if step not in scores:
            decoded, _ = _decode(run, examples, [(step,)] * len(examples))
            measured = {
                task.task.name: _measure(task, hypotheses)[0]
                for task, hypotheses in zip(examples, decoded, strict=True)
            }
            scores[step] = {name: score and score.value for name, score in measured.items()}
            write_json(path, scores)
    return scores


def _measure(task: TaskExamples, hypotheses: list[str]) -> tuple[Score | None, int]:
    metric, language = task.task.metric, task.task.output_language
    return evaluated(metric, hypotheses, task.references(), language)


def _write_lines(path: Path, texts: Sequence[str]) -> None:
    """Write a line per text, whatever line ends it holds."""
    write_text(path, "".join(" ".join(text.splitlines()) + "\n" for text in texts))


def _decode(
    run: Run, examples: Sequence[TaskExamples], chosen: Sequence[tuple[int, ...]]
) -> tuple[list[list[str]], nnx.State]:
    """Return what each task's chosen checkpoint makes of its examples, and one's parameters."""
    decoded: dict[int, list[str]] = {}
    params = nnx.State({})
    for steps in dict.fromkeys(chosen):
        tasks = {index: examples[index] for index, own in enumerate(chosen) if own == steps}
        model, _ = restore(run, steps)
        params = nnx.state(model)
        embeddings = embeddings_of(run, model, steps)
        decoded |= decode_tasks(model, tasks, run.tokenizer, embeddings, run.experiment.decoding)
    return [decoded[index] for index in range(len(examples))], params


def hypotheses(
    run: Run,
    task: str,
    split: str,
    vectors: Path | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Return what the newest model makes of every example that a task has in a split.

    Args:
        run: trained.
        task: its name.
        split: of the prepared data.
        vectors: a file of task vectors, of which the task's, or the only one, is used.
        warn: called with a line where that vector lies far from all that the run knows, and where
            examples are longer than what training takes.
    """
    index = [known.name for known in run.experiment.tasks].index(task)
    examples = {index: run.examples(split, only=task)[0]}
    tell_long(list(examples.values()), warn)
    model, steps = restore(run)
    embeddings = embeddings_of(run, model, steps)
    if vectors is not None:
        known = task_vectors(run, model, steps)
        if known is None:
            raise UsageError(f"{run.folder}: a vanilla model takes no task vector")
        given = TaskVectors.load(vectors)
        given.require_model(known.model, str(vectors))
        vector = given.vectors[0] if len(given.vectors) == 1 else given.named(task)
        if line := known.why_doubted(vector):
            warn(f"{vectors}: {line}")
        embeddings = TaskEmbeddings(np.tile(vector.array, (len(known.vectors), 1)), [])
    return decode_tasks(model, examples, run.tokenizer, embeddings, run.experiment.decoding)[index]


def task_vectors(
    run: Run, model: Seq2Seq, steps: tuple[int, ...], count: int = 0, seed: int = 0
) -> TaskVectors | None:
    """Return a run's task vectors as they are shared; None of a model without conditioning.

    Args:
        run: trained.
        model: of it.
        steps: of the checkpoints that the model comes from.
        count: training examples of each task to average; 0 takes the vectors that decode.
        seed: of the draw of those examples.
    """
    if not count:
        found, seed = embeddings_of(run, model, steps), run.experiment.seed
    else:
        training = run.examples("train")
        found = task_embeddings(model, training, [count] * len(training), seed)
    if found is None:
        return None
    vectors = [
        TaskVector(name=task.name, vector=tuple(row), examples=tuple(ids), seed=seed)
        for task, row, ids in zip(
            run.experiment.tasks, found.embedding_NZ.tolist(), found.example_ids, strict=True
        )
    ]
    return TaskVectors(model=digest(model), vectors=tuple(vectors))


def forgetting(base: Run, tuned: Sequence[Run], out: Path, split: str = "test") -> dict[str, Any]:
    """Tell what a model that was tuned on one task has lost on the others.

    Writes ``forgetting`` as .json, .png and .svg into ``out``. Scores are of the newest
    checkpoints, and are computed where the run has none of this split yet.

    Args:
        base: before the tuning.
        tuned: runs that began with it, each trained on some of its tasks.
        out: a folder.
        split: that is scored.

    Returns:
        tasks, models ("before" and what each was tuned on), score and change of each by each:
        points gained in the task's metric since before, so that lost ones are below zero. A task
        without a score is left out.

    Source: backward transfer of Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", here of
    one step; the paper's title promises it and no table of it has it.
    """
    tasks = base.experiment.tasks
    for run in tuned:
        known = run.experiment.tasks[: len(tasks)]  # others may have been added
        if [task.name for task in known] != [task.name for task in tasks]:
            raise UsageError(f"{run.folder}: its tasks are not those of {base.folder}")
    rows = [_scored(run, split) for run in (base, *tuned)]
    tasks = [task for task in tasks if all(score_of(row, task) is not None for row in rows)]
    if not tasks:
        raise UsageError(f"{base.folder}: no reference of {split} holds anything to score")
    gain_N = np.array([float(measure_of(task.metric).gain) for task in tasks])
    score_MN = np.array([[score_of(row, task) for task in tasks] for row in rows], float)
    change_MN = (score_MN - score_MN[:1]) * gain_N[None] + 0.0  # no "-0.0"
    models = ["before", *["+".join(run.experiment.train_on) or "all tasks" for run in tuned]]
    matrix = {
        "tasks": [f"{task.name} {measure_of(task.metric).name}" for task in tasks],
        "models": models,
        "split": split,
        "score": score_MN.tolist(),
        "change": change_MN.tolist(),
    }
    write_json(out / "forgetting.json", matrix)
    labels = models[:1] + [f"tuned on {name}" for name in models[1:]]
    title = f"scores on {split}, and what tuning changed"
    plot_forgetting(score_MN, change_MN, labels, matrix["tasks"], out / "forgetting", title)
    return matrix


def _scored(run: Run, split: str) -> dict[str, Any]:
    """Return the row of the newest checkpoint, from results.json if it stands there."""
    newest = saved_steps(run)[-1]
    for row in read_json(run.folder / "results.json", []):
        used = {step for steps in row["checkpoints"].values() for step in steps}
        if row["split"] == split and used == {newest}:
            return row
    return score(run, split)


class Silhouettes(NamedTuple):
    """How well task embeddings lie apart."""

    task: float
    corpus_within_task: dict[str, float]
    """Of the tasks whose examples come from several corpora."""


def draw_embeddings(run: Run, out: Path, split: str = "test", limit: int = 400) -> Silhouettes:
    """Draw the task embeddings of held-out examples by t-SNE (paper Fig. 2).

    Writes ``task_embeddings`` as .png, .svg and .csv into ``out``, the silhouettes as .json, and
    ``task_embeddings_by_corpus`` as .png and .svg where a task has several corpora.

    Args:
        run: of an implicit model.
        out: a folder.
        split: whose examples.
        limit: at most so many examples a task and corpus, drawn at random.
    """
    examples = run.examples(split)
    model, _ = restore(run)
    random = np.random.default_rng(run.experiment.seed)
    rows, parts = [], []
    for index, task in enumerate(examples):
        only = np.concatenate(
            [
                random.permutation([i for i, row in enumerate(task.rows) if row.corpus == corpus])
                for corpus in sorted({row.corpus for row in task.rows})
            ]
        )
        corpora = [task.rows[i].corpus for i in only]
        only = [int(i) for n, i in enumerate(only) if corpora[:n].count(corpora[n]) < limit]
        parts.append(embed_examples(model, index, task, sorted(only)))
        rows += [(task.task.name, task.rows[i]) for i in sorted(only)]
    embedding_BZ = np.concatenate(parts)
    points_B2 = tsne(embedding_BZ, run.experiment.seed)
    tasks = [name for name, _ in rows]
    corpora = [f"{name} {row.corpus}" for name, row in rows]
    found = Silhouettes(separation(embedding_BZ, tasks), {})
    for name in dict.fromkeys(tasks):
        own = [n for n, task in enumerate(tasks) if task == name]
        labels = [corpora[n] for n in own]
        if len(set(labels)) > 1:
            found.corpus_within_task[name] = separation(embedding_BZ[own], labels)
    title = f"task embeddings of held-out examples (silhouette {found.task:.2f})"
    plot_embeddings(points_B2, tasks, out / "task_embeddings", title)
    if found.corpus_within_task:
        within = ", ".join(
            f"{name} {value:.2f}" for name, value in found.corpus_within_task.items()
        )
        title = f"by corpus (silhouette within task: {within})"
        plot_embeddings(points_B2, corpora, out / "task_embeddings_by_corpus", title)
    lines = [
        f"{name},{row.corpus},{row.id},{x:.5f},{y:.5f}\n"
        for (name, row), (x, y) in zip(rows, points_B2, strict=True)
    ]
    write_text(out / "task_embeddings.csv", "task,corpus,id,x,y\n" + "".join(lines))
    write_json(out / "task_embeddings.json", found._asdict())
    return found


def other_references(task: TaskExamples, tasks: list[TaskExamples]) -> list[tuple[str, ...]]:
    """Return, for each example, what tasks of another kind would have to make of the same input.

    Another kind is another output language, or a transcript where this is a translation. What a
    task of this kind, itself too, has for that input is right, and not among them. Inputs are the
    same if their texts are, where they have any: another translation may stand in another row.
    """

    def kind(of: TaskExamples) -> tuple[str, str]:
        return of.task.target, of.task.output_language

    right: dict[str, dict[str, None]] = {}  # a dict keeps their order, each once
    wrong: dict[str, dict[str, None]] = {}
    for other in tasks:
        outputs = right if kind(other) == kind(task) else wrong
        for row in {id(row): row for row in (*task.rows, *other.rows)}.values():
            if row.source_text and serves_output(row, other.task):
                outputs.setdefault(row.source_text, {})[output_text(row, other.task)] = None
    return [
        tuple(text for text in wrong.get(source, ()) if text not in right.get(source, ()))
        for source in (row.source_text for row in task.rows)
    ]


def _foreign_share(
    hypotheses: list[str], task: TaskExamples, tasks: list[TaskExamples]
) -> float | None:
    language = task.task.output_language
    texts = {True: [], False: []}
    for other in tasks:
        texts[other.task.output_language == language] += other.references()
    return other_language_share(hypotheses, vocabulary(texts[True]), vocabulary(texts[False]))
