"""The quickstart on the embedded corpus: build it, train three models, score and draw."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from taskaware.config import Batching, Decoding, Experiment, OptimizerConfig, Task, small_model
from taskaware.data.corpora.base import PreparedCorpus
from taskaware.data.corpora.toy import Toy
from taskaware.data.corpora.write import prepare_corpus
from taskaware.data.tokenizer import train_tokenizer
from taskaware.devices.machine import cpu_count
from taskaware.evaluation.results import Result
from taskaware.evaluation.scoring import evaluate
from taskaware.evaluation.tables import number, results_table
from taskaware.evaluation.vector_map import draw_task_vectors
from taskaware.files.strict_json import to_json
from taskaware.files.whole import write_text
from taskaware.runs.console import console, say, shard_counter
from taskaware.runs.folder import Run, devices_line, mesh_of
from taskaware.runs.trainer import train

CORPUS = Toy(train=6000, validation=100, test=400)
VOCABULARY = 800
STEPS = 1800


def quickstart(out: Path, steps: int, seed: int) -> list[Result]:
    """Train and score vanilla, explicit and implicit models on the same three tasks.

    Args:
        out: the folder for everything; an interrupted quickstart goes on in it.
        steps: of each model, with 16 examples per task.
        seed: of the corpus, the models and the order of examples.

    Returns:
        The rows of the table, as in ``results.json``.
    """
    base = base_experiment(out, steps, seed)
    say(devices_line(base, mesh_of(base)))
    corpus = _corpus(out / "data", seed)
    if not Path(base.tokenizer).exists():
        train_tokenizer(corpus.texts("train"), VOCABULARY, Path(base.tokenizer))
    rows = []
    for conditioning in ("vanilla", "explicit", "implicit"):
        model_config = dataclasses.replace(base.model, conditioning=conditioning)
        experiment = dataclasses.replace(base, model=model_config)
        run = Run.start(experiment, out / "runs" / conditioning)
        train(run)
        rows.append(evaluate(run))
        say(_line(rows[-1], base.tasks))
        if conditioning == "implicit":
            draw_task_vectors(run, out)
        write_text(out / "results.json", to_json(rows))
    console.print(results_table(rows, base.tasks))
    say(f"{out}: results.json, task_embeddings.png, hypotheses and checkpoints under runs/")
    return rows


def base_experiment(out: Path, steps: int, seed: int) -> Experiment:
    """Return the quickstart's experiment, with the default conditioning."""
    data = (str(out / "data"),)
    return Experiment(
        tasks=(
            Task(name="st", source="speech", target="translation", metric="bleu", data=data),
            Task(name="asr", source="speech", target="transcript", metric="wer", data=data),
            Task(name="mt", source="text", target="translation", metric="bleu", data=data),
        ),
        tokenizer=str(out / "tokenizer.model"),
        model=small_model(),
        batching=Batching(size=16, buckets=2, max_seconds=3.2),
        optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
        decoding=Decoding(beam_size=4, extra_length=20),
        steps=steps,
        seed=seed,
        log_every=50 if steps > 50 else 5,
        save_every=steps,
    )


def _corpus(folder: Path, seed: int) -> PreparedCorpus:
    if folder.exists():
        return PreparedCorpus(folder)
    with shard_counter("building the embedded corpus") as tell:
        corpus = dataclasses.replace(CORPUS, seed=seed)
        return prepare_corpus(corpus, folder, workers=cpu_count(), on_shard=tell)


def _line(row: Result, tasks: Sequence[Task]) -> str:
    scores = " ".join(f"{task.name} {task.metric_name} {number(row.score(task))}" for task in tasks)
    return f"{row.conditioning}: {scores} confusion {number(row.mean_confusion)} %"
