"""A run's outputs on a split."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from flax import nnx

from taskaware.data.tasks import TaskExamples
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.by_name import evaluated
from taskaware.evaluation.results import Scores
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run, write_text
from taskaware.runs.inference import decode_tasks, tell_long


def scores(examples: Sequence[TaskExamples], decoded: Sequence[list[str]]) -> Scores:
    """Score each task's outputs in its metrics."""
    measured: Scores = {}
    for task, texts in zip(examples, decoded, strict=True):
        references, language = task.references(), task.task.output_language
        measured[task.task.name] = {
            name: evaluated(name, texts, references, language) for name in task.task.metric_names
        }
    return measured


def _write_lines(path: Path, texts: Sequence[str]) -> None:
    """Write one line per text; line ends inside a text become spaces."""
    write_text(path, "".join(" ".join(text.splitlines()) + "\n" for text in texts))


def _decode(
    run: Run, examples: Sequence[TaskExamples], chosen: Sequence[tuple[int, ...]]
) -> tuple[list[list[str]], nnx.State]:
    """Return each task's outputs from its chosen checkpoints, and the last model's parameters."""
    decoded: dict[int, list[str]] = {}
    params = nnx.State({})
    for steps in dict.fromkeys(chosen):
        tasks = {
            index: examples[index] for index, task_steps in enumerate(chosen) if task_steps == steps
        }
        model, _ = restore(run, steps)
        params = nnx.state(model)
        vectors = vectors_of(run, model)
        decoded |= decode_tasks(model, tasks, run.tokenizer, vectors, run.experiment.decoding)
    return [decoded[index] for index in range(len(examples))], params


def hypotheses(
    run: Run,
    task: str,
    split: str,
    vectors: Path | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Return the newest model's output for every example that a task has in a split.

    Args:
        run: a trained run.
        task: its name.
        split: of the prepared data.
        vectors: a file of task vectors; the task's, or the only one, is used.
        warn: called with a line where that vector lies far from all task vectors of the run, and
            where examples are longer than training takes.

    Raises:
        UsageError: the vectors are of another model, or none of them is the task's.
    """
    index = [other.name for other in run.experiment.tasks].index(task)
    examples = {index: run.examples(split, only=task)[0]}
    tell_long(list(examples.values()), warn)
    model, _ = restore(run)
    task_vectors = vectors_of(run, model)
    if vectors is not None:
        if task_vectors is None:
            raise UsageError(f"{run.folder}: a vanilla model takes no task vector")
        stored = TaskVectors.load(vectors)
        stored.require_model(task_vectors.model, str(vectors))
        vector = stored.vectors[0] if len(stored.vectors) == 1 else stored.named(task)
        if line := task_vectors.why_doubted(vector):
            warn(f"{vectors}: {line}")
        task_vectors = TaskVectors(
            model=task_vectors.model, vectors=(dataclasses.replace(vector, name=task),)
        )
    return decode_tasks(model, examples, run.tokenizer, task_vectors, run.experiment.decoding)[
        index
    ]
