"""What tuning on one task does to the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taskaware.errors import UsageError
from taskaware.evaluation.figures import plot_forgetting
from taskaware.evaluation.metrics.by_name import metric
from taskaware.evaluation.results import Result, stored_results
from taskaware.evaluation.scoring import evaluate
from taskaware.files.whole import write_json
from taskaware.runs.checkpoints import (
    saved_steps,
)
from taskaware.runs.folder import Run


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
    tasks = [task for task in tasks if all(row.score(task) is not None for row in rows)]
    if not tasks:
        raise UsageError(f"{base.folder}: no reference of {split} holds anything to score")
    gain_N = np.array([float(metric(task.metric_name).gain) for task in tasks])
    score_MN = np.array([[row.score(task) for task in tasks] for row in rows], float)
    change_MN = (score_MN - score_MN[:1]) * gain_N[None] + 0.0  # no "-0.0"
    models = ["before", *["+".join(run.experiment.train_on) or "all tasks" for run in tuned]]
    matrix = {
        "tasks": [f"{task.name} {metric(task.metric_name).title}" for task in tasks],
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


def _scored(run: Run, split: str) -> Result:
    """Return the row of the newest checkpoint, from results.json if it stands there."""
    newest = saved_steps(run)[-1]
    for row in stored_results(run.folder):
        used = {step for steps in row.checkpoints.values() for step in steps}
        if row.split == split and used == {newest}:
            return row
    return evaluate(run, split)
