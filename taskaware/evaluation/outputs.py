"""What a run makes of a split: texts and task vectors."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from flax import nnx

from taskaware.data.tasks import TaskExamples
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.by_name import evaluated
from taskaware.evaluation.results import Scores
from taskaware.models.seq2seq import Seq2Seq
from taskaware.pretrained.model import digest
from taskaware.pretrained.vectors import TaskVector, TaskVectors
from taskaware.runs.checkpoints import (
    embeddings_of,
    restore,
)
from taskaware.runs.folder import Run, write_text
from taskaware.runs.inference import (
    TaskEmbeddings,
    decode_tasks,
    task_embeddings,
    tell_long,
)


def scores(examples: Sequence[TaskExamples], decoded: Sequence[list[str]]) -> Scores:
    """Return what each task's outputs are worth, in its metric."""
    measured: Scores = {}
    for task, texts in zip(examples, decoded, strict=True):
        name, language = task.task.metric_name, task.task.output_language
        measured[task.task.name] = {name: evaluated(name, texts, task.references(), language)}
    return measured


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
            run.experiment.tasks, found.vector_NZ.tolist(), found.example_ids, strict=True
        )
    ]
    return TaskVectors(model=digest(model), vectors=tuple(vectors))
