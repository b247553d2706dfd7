"""What a run tells: a progress bar or plain lines, a JSONL file, TensorBoard."""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from taskaware.config import Task
from taskaware.data.corpora.check import Summary
from taskaware.evaluate import measure_of
from taskaware.strict_json import write_text
from taskaware.train.loop import Progress

console = Console(highlight=False, soft_wrap=True, emoji=False)  # line :100: is no picture
if not console.is_terminal:
    console.width = 120  # rich would cut a table in a log to 80 columns


def say(line: str) -> None:
    """Print one line."""
    console.print(line, markup=False)


class Counter:
    """A bar on a terminal, and every tenth of the way a line elsewhere; use as a context."""

    def __init__(self, what: str, total: int):
        self._what, self._total = what, total
        self._bar = None
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[text]}"),
            )
            self._bar = Bar(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._id = TaskID(0)
        self._next = 0

    def __enter__(self) -> "Counter":
        """Show the bar."""
        if self._bar is not None:
            self._bar.start()
            self._id = self._bar.add_task(self._what, total=self._total, text="")
        return self

    def __exit__(self, *exc: object) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, text: str = "", *, line: bool | None = None) -> None:
        """Say how far it is; off a terminal a line is printed when ``line``, or at each tenth."""
        if self._bar is not None:
            self._bar.update(self._id, completed=done, text=text or f"{done}/{self._total}")
            return
        due = done >= self._next if line is None else line
        if due:
            self._next = done + max(1, self._total // 10)
            say(f"{self._what} {done}/{self._total}" + (f"  {text}" if text else ""))


@contextlib.contextmanager
def shard_counter(what: str) -> Iterator[Callable[[int, float], None]]:
    """Show how far a corpus has been read: told of what was read and of the share of all shards."""
    start = time.monotonic()
    with Counter(what, 100) as counter:

        def tell(read: int, share: float) -> None:
            left = int((time.monotonic() - start) * (1 - share) / share)
            ahead = f"ETA {left // 60}:{left % 60:02d}"
            counter(round(100 * share), f"%  {read:,} read  {ahead}")

        yield tell


class RunLog:
    """A training run's ears: the bar, ``metrics.jsonl`` and TensorBoard's events.

    Args:
        folder: of the run.
        name: what the bar says.
        first: the step that the run goes on from; later lines of an interrupted run are dropped.
        total: the last step.
    """

    def __init__(self, folder: Path, name: str, first: int, total: int):
        from tensorboardX import SummaryWriter  # with it comes PyTorch, where that is installed

        self._path = folder / "metrics.jsonl"
        _keep_until(self._path, first)
        self._file = self._path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder), flush_secs=30)
        self._counter = Counter(name, total)

    def __enter__(self) -> "RunLog":
        """Show the bar."""
        self._counter.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close bar and files."""
        self._counter.__exit__()
        self._file.close()
        self._board.close()

    def progress(self, at: Progress) -> None:
        """Tell how training goes."""
        self._write(at.step, at._asdict())
        for task, loss in at.loss.items():
            self._board.add_scalar(f"loss/{task}", loss, at.step)
        for name in ("tokens_per_second", "audio_seconds_per_second", "gradient_norm", "rms"):
            self._board.add_scalar(name, getattr(at, name), at.step)
        self._board.add_scalar("participation", at.participation, at.step)
        losses = " ".join(f"{task} {loss:.3f}" for task, loss in at.loss.items())
        speed = f"{at.tokens_per_second:,.0f} tokens/s {at.audio_seconds_per_second:,.0f} audio-s/s"
        if at.skipped:
            losses += f" skipped {at.skipped}"
        text = f"{at.step}/{at.total} {losses} {speed}"
        if console.is_terminal:
            self._counter(at.step, text)
        else:
            self._counter(at.step, f"{losses} {speed} ETA {eta(at)}", line=True)

    def scores(self, step: int, scores: dict[str, float]) -> None:
        """Tell what evaluators found."""
        self._write(step, {"step": step, **scores})
        for name, value in scores.items():
            self._board.add_scalar(name, value, step)
        say(f"step {step}  " + " ".join(f"{name} {value:.3f}" for name, value in scores.items()))

    def _write(self, step: int, values: dict[str, Any]) -> None:
        self._file.write(json.dumps({**values, "step": step}) + "\n")
        self._file.flush()


def eta(at: Progress) -> str:
    """Return the time left as minutes:seconds, at this stretch's speed."""
    left = int(at.seconds_left)
    return f"{left // 60}:{left % 60:02d}"


def score_of(row: dict[str, Any], task: Task) -> float | None:
    """Return a task's score in a row of ``results.json``; None where nothing could be scored."""
    return row.get(f"{task.name}_{task.metric}")


def number(value: float | None) -> str:
    """Return a score or a share as tables show it."""
    return "–" if value is None else f"{value:.1f}"


def results_table(rows: list[dict[str, Any]], tasks: Sequence[Task]) -> Table:
    """Return scores as a table: a row a model, a column a task."""
    table = Table(title="held-out sentences", title_justify="left")
    table.add_column("conditioning")
    for task in tasks:
        table.add_column(f"{task.name} {measure_of(task.metric).name}", justify="right")
    for name in ("confusion %", "parameters", "of the TCN", "steps", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["conditioning"],
            *[number(score_of(row, task)) for task in tasks],
            number(row["confusion"].get("mean")),
            f"{row['parameters']:,}",
            f"{row['tcn_parameters']:,}",
            f"{row['train_steps']:,}",
            f"{row['seconds']:.0f}",
        )
    return table


def forgetting_table(matrix: dict[str, Any]) -> Table:
    """Return a forgetting matrix as a table: a row a model, a column a task."""
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
    """Return what a prepared corpus holds as a table: a row a split."""
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


def _keep_until(path: Path, step: int) -> None:
    """Drop what an interrupted run wrote after the step it goes on from."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        write_text(path, "".join(line + "\n" for line in kept))


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):
        return float("inf")  # half a line
