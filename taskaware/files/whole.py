"""Files that are written whole or not at all."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from taskaware.errors import UsageError


@contextlib.contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears, or replaces another, only when it is complete.

    Of a link, the file that it points to is written. A device or a pipe, such as ``/dev/stdout``,
    is written directly: it cannot be replaced.
    """
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # others may write the file as well
    try:
        with open(part, "wb") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all, as ``open_whole`` does."""
    with open_whole(path) as file:
        file.write(text.encode())


def read_json(path: Path, absent: Any) -> Any:
    """Return what ``write_json`` wrote, or ``absent`` if there is no such file.

    Raises:
        UsageError: it is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return absent
    except (OSError, ValueError) as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: Exception) -> UsageError:
    """Return the error for a damaged file of a run folder that its command can write again."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UsageError(f"{path}: damaged ({reason}); delete it and run the same command again")


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
