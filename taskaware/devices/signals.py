"""Signals that ask a process to stop."""

import signal
import threading
from typing import Any


class StopSignals:
    """Notes SIGTERM and Ctrl-C instead of obeying them, so that the current work can be finished.

    Use as a context manager. A second Ctrl-C interrupts at once. Signals that this process was
    started to ignore stay ignored; outside the main thread, Python delivers none.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        """Return this; signals end the process as usual until the first call."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Return whether a signal was received since the first call.

        None is noted before it: Python handles signals between its own instructions, so a noted one
        would have to wait until the first step is compiled, when stopping at once loses nothing.
        """
        if not self._before and threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                handler = signal.getsignal(number)
                if handler not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self.received is not None

    def _note(self, number: int, frame: object) -> None:
        if self.received == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or signal.Signals(number)
