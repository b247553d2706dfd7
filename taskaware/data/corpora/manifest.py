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

import functools
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from taskaware.data.audio import read_audio
from taskaware.data.corpora.base import (
    NO_AUDIO,
    TEXTS_A_SHARD,
    UTTERANCES_A_SHARD,
    Example,
    PreparedCorpus,
    Splits,
    decode_line,
    prepare,
)
from taskaware.errors import UsageError, nearest

_TEXTS = ("speaker", "source_text", "target_text", "source_language", "target_language")
"""Passed on as they are, in the order of ``Example``'s fields."""
_COLUMNS = ("id", "audio", "start", "duration", *_TEXTS)


class _Entry(NamedTuple):
    """A row that has been checked."""

    line: int
    id: str
    audio: str
    start: float
    duration: float | None
    texts: tuple[str, ...]
    """Those of ``_TEXTS``."""


def prepare_manifest(
    table: str | Path,
    out: str | Path,
    *,
    audio_root: str | Path | None = None,
    resample: bool = False,
    on_example: Callable[[int], None] | None = None,
) -> PreparedCorpus:
    """Prepare the corpus that a table describes; all its text is checked before any audio.

    Args:
        table: the table, in the format above.
        out: folder to write.
        audio_root: the folder in which all audio must lie, and to which its paths are relative;
            None: the table's own. A table from elsewhere cannot reach other files.
        resample: whether audio of another rate than 16 kHz is converted instead of refused.
        on_example: told after each example how many have been written.

    Raises:
        UsageError: file, line and what is wrong, of the first of the problems.
    """
    table = Path(table)
    root = table.parent if audio_root is None else Path(audio_root)
    read = functools.partial(_read, table, root, resample)
    return prepare("manifest", read, out, on_example)


def _read(table: Path, root: Path, resample: bool) -> Splits:
    return {
        split: [
            functools.partial(_examples, table, root, resample, shard) for shard in _shards(entries)
        ]
        for split, entries in _entries(table, root).items()
    }


def _shards(entries: list[_Entry]) -> Iterator[list[_Entry]]:
    spoken = any(entry.audio for entry in entries)
    size = UTTERANCES_A_SHARD if spoken else TEXTS_A_SHARD
    return (entries[first : first + size] for first in range(0, len(entries), size))


def _examples(table: Path, root: Path, resample: bool, entries: list[_Entry]) -> Iterator[Example]:
    for line, id, audio, start, duration, texts in entries:
        samples = NO_AUDIO
        if audio:
            try:
                samples = read_audio(root / audio, start, duration, resample=resample)
            except UsageError as error:
                raise UsageError(f"{table}:{line}: {error}") from None
        yield Example(id, samples, *texts, corpus=table.stem)


def _entries(table: Path, root: Path) -> dict[str, list[_Entry]]:
    """Check and keep every row, by split, before any audio is read."""
    splits: dict[str, list[_Entry]] = {}
    seen: set[tuple[str, str]] = set()
    first_problem, problems = "", 0
    try:
        with open(table, "rb") as lines:
            columns = _columns(table, lines.readline())
            # A binary file's lines end in \n alone: text may hold U+2028 and its like.
            for number, line in enumerate(lines, start=2):
                try:
                    if fields := _fields(line):
                        split, entry = _entry(number, fields, columns, root)
                        if (split, entry.id) in seen:
                            raise UsageError(f"id {entry.id!r} stands twice in split {split!r}")
                        seen.add((split, entry.id))
                        splits.setdefault(split, []).append(entry)
                except UsageError as error:
                    problems += 1
                    first_problem = first_problem or f"{table}:{number}: {error}"
    except OSError as error:
        raise UsageError(f"{table}: cannot read the table ({error.strerror})") from None
    if problems:
        more = f" (and {problems - 1} more rows with problems)" if problems > 1 else ""
        raise UsageError(first_problem + more)
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


def _entry(number: int, fields: list[str], columns: list[str], root: Path) -> tuple[str, _Entry]:
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
    return split, _Entry(number, row["id"], row["audio"], start or 0.0, duration, texts)


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
