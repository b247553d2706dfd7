"""A lock that gives one process at a time a folder."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from taskaware.errors import UsageError


@contextlib.contextmanager
def sole_user(folder: Path, lock: Path) -> Iterator[None]:
    """Reserve a folder for this process, as a context manager.

    Args:
        folder: what to reserve.
        lock: the file that every process locks before it uses the folder. The kernel releases the
            lock with the process, however that ends; the file is deleted at the end.

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


def _locked(file: IO[str], path: Path) -> bool:
    """Lock an open file; return whether this process has the lock and the file is still there."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its owner may have deleted it since it was opened, and a third process made a new one.
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return True  # some clusters' file systems have no locks: better unguarded than unusable
