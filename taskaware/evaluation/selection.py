"""Which checkpoint of a run is used."""

from collections.abc import Sequence
from typing import Literal, assert_never

from taskaware.evaluation.metrics.texts import measure_of
from taskaware.evaluation.outputs import _decode, _measure
from taskaware.files.whole import read_json, write_json
from taskaware.runs.checkpoints import (
    best_step,
    saved_steps,
)
from taskaware.runs.console import say
from taskaware.runs.folder import Run
from taskaware.runs.inference import (
    tell_long,
)

Selection = Literal["newest", "average", "best", "single", "taskwise"]
"""The newest checkpoint; the mean of the newest ones; the one of least validation loss; the one
whose scores on that split are best for all trained tasks together; or each task's own best one
there (paper §3.3.2)."""


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
