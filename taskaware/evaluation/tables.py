"""Tables of results and of corpora for the terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table

from taskaware.config import Task
from taskaware.data.corpora.summary import Summary
from taskaware.evaluation.metrics.by_name import metric
from taskaware.evaluation.results import Result
from taskaware.runs.console import console

if not console.is_terminal:
    console.width = 120  # rich would cut a table in a log to 80 columns


_MOST_COLUMNS = 4
"""Tasks that stand side by side in a table."""
_TITLE = "held-out sentences"


def number(value: float | None) -> str:
    """Format a score or a share for a table: one decimal, or a dash for None."""
    return "–" if value is None else f"{value:.1f}"


def results_table(rows: Sequence[Result], tasks: Sequence[Task]) -> Table:
    """Return scores as a table: a row per model, a column per task; of many tasks turned round."""
    if len(tasks) > _MOST_COLUMNS:
        return _tall_table(rows, tasks)
    table = Table(title=_TITLE, title_justify="left")
    table.add_column("conditioning")
    for task in tasks:
        table.add_column(f"{task.name} {metric(task.metric_name).title}", justify="right")
    for name in ("confusion %", "parameters", "of the TCN", "steps", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.conditioning,
            *[number(row.score(task)) for task in tasks],
            number(row.mean_confusion),
            *_about(row),
        )
    return table


def _tall_table(rows: Sequence[Result], tasks: Sequence[Task]) -> Table:
    """Return scores as a table: a row per task and metric, a column per model."""
    table = Table(title=_TITLE, title_justify="left")
    for name in ("task", "metric"):
        table.add_column(name)
    for row in rows:
        table.add_column(row.conditioning, justify="right")
    for task in tasks:
        for name in task.metric_names:
            measured = [row.scores.get(task.name, {}).get(name) for row in rows]
            values = [number(one and one.value) for one in measured]
            table.add_row(task.name, metric(name).title, *values)
    for task in tasks:
        confused = [row.confusion.get(task.name) for row in rows]
        if any(share is not None for share in confused):
            table.add_row(task.name, "confusion %", *map(number, confused))
    facts = zip(*map(_about, rows), strict=True)
    for name, values in zip(("parameters", "of the TCN", "steps", "seconds"), facts, strict=True):
        table.add_row("", name, *values)
    return table


def _about(row: Result) -> tuple[str, str, str, str]:
    counts = row.parameters, row.tcn_parameters, row.train_steps
    parameters, of_tcn, steps = (f"{count:,}" for count in counts)
    return parameters, of_tcn, steps, f"{row.seconds:.0f}"


def forgetting_table(matrix: dict[str, Any]) -> Table:
    """Return a forgetting matrix as a table: a row per model, a column per task."""
    table = Table(title=f"{matrix['split']}: score (points gained)", title_justify="left")
    table.add_column("tuned on")
    for task in matrix["tasks"]:
        table.add_column(task, justify="right")
    for model, scores, changes in zip(
        *(matrix[key] for key in ("models", "score", "change")), strict=True
    ):
        cells = zip(scores, changes, strict=True)
        table.add_row(model, *[f"{score:.1f} ({change:+.1f})" for score, change in cells])
    return table


def corpus_table(splits: Iterable[tuple[str, Summary]]) -> Table:
    """Return what a prepared corpus holds as a table: a row per split."""
    table = Table()
    for name in ("split", "examples", "hours", "longest s", "words", "known words", "left out"):
        table.add_column(name, justify="left" if name in ("split", "left out") else "right")
    for split, summary in splits:
        reasons = ", ".join(f"{count:,} {why}" for why, count in summary.left_out.most_common())
        table.add_row(
            split,
            f"{summary.examples:,}",
            f"{summary.hours:.2f}",
            f"{summary.longest:.1f}",
            f"{summary.words:,}",
            f"{summary.known_words:.1%}",
            reasons or "–",
        )
    return table
