"""Signals that ask a process to stop."""

import signal
import threading
from typing import Any


class StopSignals:
    """SIGTERM and Ctrl-C, noted and not obeyed, so that what is being done can be finished.

    Use as a context. A second Ctrl-C interrupts at once. Signals that this process was started to
    ignore stay ignored; outside of the main thread, Python hands out none.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        """Note no signals yet."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Obey signals again."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        """Return whether one was received; from the first call on they are noted.

        Not before, for Python looks at them between its own instructions: it would miss the long
        time in which a first step is compiled, when nothing is lost by an end at once.
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
