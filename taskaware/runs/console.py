"""Output of commands: lines, and progress as a bar on a terminal or as lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from taskaware.training.loop import Progress

console = Console(highlight=False, soft_wrap=True, emoji=False)  # line :100: is no picture


def say(line: str) -> None:
    """Print one line."""
    console.print(line, markup=False)


class Counter:
    """A progress bar on a terminal, a line per tenth elsewhere; use as a context."""

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
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, done: int, text: str = "", *, line: bool | None = None) -> None:
        """Show progress; off a terminal, print a line if ``line``, by default at each tenth."""
        if self._bar is not None:
            self._bar.update(self._id, completed=done, text=text or f"{done}/{self._total}")
            return
        due = done >= self._next if line is None else line
        if due:
            self._next = done + max(1, self._total // 10)
            say(f"{self._what} {done}/{self._total}" + (f"  {text}" if text else ""))


@contextlib.contextmanager
def shard_counter(what: str) -> Iterator[Callable[[int, float], None]]:
    """Show how far a corpus has been read.

    Yields a function to call with the number of examples read and the share of shards done.
    """
    start = time.monotonic()
    with Counter(what, 100) as counter:

        def tell(read: int, share: float) -> None:
            left = int((time.monotonic() - start) * (1 - share) / share)
            ahead = f"ETA {left // 60}:{left % 60:02d}"
            counter(round(100 * share), f"%  {read:,} read  {ahead}")

        yield tell


def eta(at: Progress) -> str:
    """Return the time left as minutes:seconds, at the current speed."""
    left = int(at.seconds_left)
    return f"{left // 60}:{left % 60:02d}"
