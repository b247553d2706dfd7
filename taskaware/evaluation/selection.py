"""Choice of the checkpoints that decode each task."""

from collections.abc import Sequence
from typing import assert_never

from taskaware.evaluation.metrics.by_name import metric
from taskaware.evaluation.outputs import _decode, scores
from taskaware.evaluation.results import Scores, Selection
from taskaware.files.strict_json import load_stored, to_json
from taskaware.files.whole import write_text
from taskaware.runs.checkpoints import (
    best_step,
    saved_steps,
)
from taskaware.runs.console import say
from taskaware.runs.folder import Run
from taskaware.runs.inference import (
    tell_long,
)


def choose(run: Run, selection: Selection) -> list[tuple[int, ...]]:
    """Return, for each task, the steps of the checkpoints whose mean decodes it.

    Raises:
        UsageError: there is no checkpoint, or for ``best`` none with a validation loss.
    """
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


def regrets(run: Run, by_step: dict[int, Scores]) -> dict[int, list[float]]:
    """Return each checkpoint's distance to every task's best score, in points of its metric."""
    regret: dict[int, list[float]] = {step: [] for step in by_step}
    for task in run.experiment.tasks:
        name = task.metric_name
        # No score at any checkpoint, where no reference can be scored: none is better than others.
        measured = [scored.get(task.name, {}).get(name) for scored in by_step.values()]
        values = [metric(name).gain * ((one and one.value) or 0.0) for one in measured]
        for step, value in zip(by_step, values, strict=True):
            regret[step].append(max(values) - value)
    return regret


def _validation_scores(run: Run, steps: Sequence[int]) -> dict[int, Scores]:
    """Return every task's validation score at every checkpoint, computed once and stored."""
    path = run.folder / "validation_scores.json"
    stored: dict[str, Scores] = load_stored(dict[str, Scores], path, {})
    by_step = {int(step): scored for step, scored in stored.items() if int(step) in steps}
    examples = run.examples("validation", absent=say)
    tell_long(examples if set(steps) - set(by_step) else [], say)
    for step in steps:
        if step not in by_step:
            decoded, _ = _decode(run, examples, [(step,)] * len(examples))
            by_step[step] = scores(examples, decoded)
            write_text(path, to_json(by_step))
    return by_step
