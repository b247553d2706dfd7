"""Stored results of a run: ``results.json``, one row per split and selection."""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from taskaware.config import Decoding, MetricName, Task
from taskaware.evaluation.metrics.base import Measured
from taskaware.files.strict_json import load_stored, to_json
from taskaware.files.whole import write_text

Selection = Literal["newest", "average", "best", "single", "taskwise"]
"""The newest checkpoint; the mean of the newest ones; the one of least validation loss; the one
whose scores on that split are best for all trained tasks together; or each task's own best one
there (paper §3.3.2)."""

Scores = dict[str, dict[MetricName, Measured]]
"""By task and metric."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run's scores on one split: a row of the results table."""

    conditioning: str
    strategy: str
    split: str
    selection: Selection
    checkpoints: dict[str, tuple[int, ...]]
    """By task, the steps of the checkpoints whose mean decoded it."""
    scores: Scores
    confusion: dict[str, float | None]
    """By task, in percent; None where no other task has a reference for the same input."""
    other_language_words: dict[str, float | None]
    train_steps: int
    seconds: float
    parameters: int
    tcn_parameters: int
    seed: int
    decoding: Decoding

    def score(self, task: Task) -> float | None:
        """Return a task's score in its metric; None where nothing was there to be scored."""
        measured = self.scores.get(task.name, {}).get(task.metric_name)
        return None if measured is None else measured.value

    @property
    def mean_confusion(self) -> float | None:
        """The mean over the tasks that can be confused."""
        shares = [share for share in self.confusion.values() if share is not None]
        return statistics.fmean(shares) if shares else None


def stored_results(folder: Path) -> tuple[Result, ...]:
    """Return the rows of ``results.json`` in a run folder, none if there is no such file.

    Raises:
        UsageError: the file is damaged.
    """
    return load_stored(tuple[Result, ...], folder / "results.json", ())


def store_result(folder: Path, result: Result) -> None:
    """Add a row to ``results.json``, replacing that of the same split and selection."""
    key = (result.split, result.selection)
    others = [old for old in stored_results(folder) if (old.split, old.selection) != key]
    write_text(folder / "results.json", to_json([*others, result]))
