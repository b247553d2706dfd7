"""SHA-256 digests, which show whether files are still what was written.

Orbax and its file formats do not notice a flipped bit: they restore wrong numbers.
"""

import hashlib
import json
from pathlib import Path


def sha256(file: Path) -> str:
    """Return the digest of a file, in hexadecimal."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def listing(folder: Path) -> str:
    """Return the manifest of a folder, as JSON: its name, and the digest of every file by path."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    digests = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    return json.dumps({"name": folder.name, "sha256": digests}, indent=1)


def damage(folder: Path, written: Path) -> str:
    """Return what has happened to a folder since its manifest was written; "" for nothing.

    Args:
        folder: the folder.
        written: the file that holds its ``listing`` of then.
    """
    if not folder.is_dir():
        return "the folder is gone"
    if not written.is_file():
        return "its manifest is gone"
    try:
        present, recorded = listing(folder), written.read_bytes()
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if recorded == present.encode():
        return ""
    try:
        before, now = json.loads(recorded), json.loads(present)
        if before["name"] != now["name"]:
            return f"it was {before['name']} once"
        names = sorted(before["sha256"].keys() | now["sha256"].keys())
        changed = [name for name in names if before["sha256"].get(name) != now["sha256"].get(name)]
        gone = "" if changed[0] in now["sha256"] else " is gone"
        return f"{changed[0]}{gone or ' is not what was written'}"
    except (ValueError, LookupError, TypeError, AttributeError):  # it may hold anything by now
        return "its manifest is not what was written"
