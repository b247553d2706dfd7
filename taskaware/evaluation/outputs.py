"""What a run makes of a split."""

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
    model, _ = restore(run)
    known = vectors_of(run, model)
    if vectors is not None:
        if known is None:
            raise UsageError(f"{run.folder}: a vanilla model takes no task vector")
        given = TaskVectors.load(vectors)
        given.require_model(known.model, str(vectors))
        vector = given.vectors[0] if len(given.vectors) == 1 else given.named(task)
        if line := known.why_doubted(vector):
            warn(f"{vectors}: {line}")
        known = TaskVectors(model=known.model, vectors=(dataclasses.replace(vector, name=task),))
    return decode_tasks(model, examples, run.tokenizer, known, run.experiment.decoding)[index]
