r"""Any corpus of one's own, described by a table: one row an example.

The table is UTF-8 text, its lines end in ``\n``, its fields are separated by tabs and taken as
they stand, without quoting. The first line names the columns, in any order:

===============  ================================================================================
id               distinct within its split
audio            a file inside the table's folder, or the folder named instead; empty: only text
start            seconds into the file; empty: 0
duration         seconds; empty: to the end of the file
speaker          may be empty
source_text      what is said, or the text to translate
target_text      its translation; empty if and only if the target language is
source_language  such as en
target_language  such as de
split            may be missing as a column; "train" then, as where it is empty
===============  ================================================================================
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path

from taskaware.data.corpora.base import Bad, LeftOut, Splits, decode_line, lines_of
from taskaware.data.corpora.segments import Segment, as_splits
from taskaware.errors import UsageError, nearest

_TEXTS = ("speaker", "source_text", "target_text", "source_language", "target_language")
"""Passed on as they are, in the order of ``Segment``'s fields."""
_COLUMNS = ("id", "audio", "start", "duration", *_TEXTS)


@dataclass(frozen=True)
class Manifest:
    """What a table lists; all its text is checked before any audio."""

    table: Path
    """In the format above."""
    audio_root: Path | None = None
    """The folder in which all audio must lie, and to which its paths are relative; None: the
    table's own. A table from elsewhere cannot reach other files."""
    resample: bool = False
    """Whether audio of another rate than 16 kHz is converted instead of refused."""

    name = "manifest"

    def splits(self, *, strict: bool) -> Splits:
        """Return what reads it; errors name file and line."""
        root = self.table.parent if self.audio_root is None else self.audio_root
        found = _segments(self.table, root)
        return as_splits(found, self.table.stem, strict=strict, resample=self.resample)


def _segments(table: Path, root: Path) -> dict[str, list[Segment | LeftOut | Bad]]:
    """Check and keep every row, by split."""
    splits: dict[str, list[Segment | LeftOut | Bad]] = {}
    split = "train"
    try:
        with open(table, "rb") as file:
            lines = lines_of(file, table)
            columns = _columns(table, next(lines, b""))
            for number, line in enumerate(lines, start=2):
                where = f"{table}:{number}"
                try:
                    if fields := _fields(line):
                        split, segment = _segment(where, fields, columns, root)
                        splits.setdefault(split, []).append(segment)
                except UsageError as error:
                    # Of its own split nothing is known: it counts where the row above stands.
                    splits.setdefault(split, []).append(Bad("row", f"{where}: {error}"))
    except OSError as error:
        raise UsageError(f"{table}: cannot read the table ({error.strerror})") from None
    if not splits:
        raise UsageError(f"{table}: expected rows below the header, found none")
    return splits


def _fields(line: bytes) -> list[str]:
    """Return the fields of a line, none if it is empty."""
    text = decode_line(line.removesuffix(b"\n").removesuffix(b"\r"))
    return [field.strip() for field in text.split("\t")] if text else []


def _columns(table: Path, header: bytes) -> list[str]:
    try:
        columns = _fields(header.removeprefix(b"\xef\xbb\xbf"))
        for name in _COLUMNS:
            if name not in columns:
                raise UsageError(
                    f"column {name!r} is missing, found {', '.join(columns) or 'nothing'}"
                    f"{nearest(name, columns)}"
                )
        known = (*_COLUMNS, "split")
        for name in columns:
            if name not in known or columns.count(name) > 1:
                raise UsageError(
                    f"expected each of the columns {', '.join(known)} once and no others, found"
                    f" {name!r}{' twice' if name in known else nearest(name, known)}"
                )
    except UsageError as error:
        raise UsageError(f"{table}:1: {error}") from None
    return columns


def _segment(where: str, fields: list[str], columns: list[str], root: Path) -> tuple[str, Segment]:
    if len(fields) != len(columns):
        raise UsageError(
            f"expected {len(columns)} fields separated by tabs, as in the header, found"
            f" {len(fields)}"
        )
    row = dict(zip(columns, fields, strict=True))
    split = row.pop("split", "") or "train"
    for name in ("id", "source_text", "source_language"):
        if not row[name]:
            raise UsageError(f"expected {name}, found it empty")
    if bool(row["target_text"]) != bool(row["target_language"]):
        raise UsageError(
            "expected target_text and target_language both, or neither, found"
            f" {row['target_text']!r} and {row['target_language']!r}"
        )
    start, duration = _seconds("start", row), _seconds("duration", row)
    if row["audio"]:
        _check_place(root, row["audio"])
    elif start is not None or duration is not None:
        raise UsageError("expected start and duration only beside audio, found them without")
    texts = tuple(row[name] for name in _TEXTS)
    audio = str(root / row["audio"]) if row["audio"] else ""
    return split, Segment(where, row["id"], audio, start or 0.0, duration, *texts)


def _seconds(name: str, row: dict[str, str]) -> float | None:
    text = row[name]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"{name}: expected seconds, 0 or more, as in 12.34, found {text!r}")
    return value


def _check_place(root: Path, audio: str) -> None:
    """Refuse a file outside ``root``, by whatever path or link, and one that is not there."""
    real_root, path = os.path.realpath(root), os.path.realpath(root / audio)
    if os.path.commonpath([real_root, path]) != real_root:
        raise UsageError(
            f"audio {audio!r} lies outside {root}; name the folder that holds all audio with"
            " --audio-root"
        )
    if not os.path.isfile(path):
        raise UsageError(f"no audio file {audio!r} in {root}")
