"""Forgetting: how fine-tuning on one task changes the scores of the others."""

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
from taskaware.runs.checkpoints import saved_steps
from taskaware.runs.folder import Run


def forgetting(base: Run, tuned: Sequence[Run], out: Path, split: str = "test") -> dict[str, Any]:
    """Measure what a model that was fine-tuned on one task has lost on the others.

    Writes ``forgetting`` as .json, .png and .svg into ``out``. Scores are of the newest
    checkpoints, and are computed where the run has none for this split yet.

    Args:
        base: the run before fine-tuning.
        tuned: runs that started from it, each trained on some of its tasks.
        out: folder for the files.
        split: the one that is scored.

    Returns:
        A matrix as stored: tasks, models ("before" and what each was tuned on), score of each
        model on each task, and change: points of the task's metric gained since before, negative
        where lost. A task without a score is left out.

    Raises:
        UsageError: a run has other tasks than ``base``, or no reference can be scored.

    Source:
        Backward transfer of Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory", here of one
        step; the paper's title promises it and none of its tables has it.
    """
    tasks = base.experiment.tasks
    for run in tuned:
        shared = run.experiment.tasks[: len(tasks)]  # others may have been added
        if [task.name for task in shared] != [task.name for task in tasks]:
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
    """Return the result of the newest checkpoint, from results.json if it is there."""
    newest = saved_steps(run)[-1]
    for row in stored_results(run.folder):
        used = {step for steps in row.checkpoints.values() for step in steps}
        if row.split == split and used == {newest}:
            return row
    return evaluate(run, split)
