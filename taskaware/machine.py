"""What the machine lets this process use, alone, and until when."""

import contextlib
import ctypes
import fcntl
import os
import platform
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from taskaware.errors import UsageError


def cpu_count() -> int:
    """Return how many cores this process may use, which a cluster may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_mappings() -> tuple[int, int] | None:
    """Return how many memory mappings this process has, and how many Linux grants it.

    Where there is no such thing it is None.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        with Path("/proc/self/maps").open("rb") as maps:
            return sum(1 for _ in maps), limit
    except OSError:
        return None


def return_freed_memory() -> None:
    """Give the system back what this process has freed, where its C library (glibc) can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def sole_user(folder: Path, lock: Path) -> Iterator[None]:
    """Keep a folder to this process, as a context.

    Args:
        folder: what is kept.
        lock: a file that every process locks which wants to have the folder. The lock is the
            kernel's and goes with the process, however that ends; the file is deleted at the end.

    Raises:
        UsageError: another process has the folder, or the file cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from None
    with file:
        if not _locked(file, lock):
            file.seek(0)
            raise UsageError(
                f"{folder}: in use by {file.read() or 'another process'}; wait until that has "
                "ended, or choose another --out"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


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


def _locked(file: IO[str], path: Path) -> bool:
    """Lock an open file; return whether this process has it, and it is still at its path."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its owner may have deleted it since it was opened, and a third process made another.
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return True  # some file systems of clusters have no locks: better unguarded than unusable


def set_up_jax() -> None:
    """Prepare this process, as one that is a command's alone, for JAX and for Orbax.

    Compiled programs are kept between commands, where the user has not chosen otherwise.
    """
    import jax

    with contextlib.suppress(ImportError):  # which comes with Orbax
        import absl.logging

        absl.logging.get_absl_logger().setLevel("CRITICAL")  # it tells its moves, and errors twice

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "taskaware" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # A start compiles some large programs and hundreds of small ones.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
