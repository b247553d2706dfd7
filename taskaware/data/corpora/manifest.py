r"""Any corpus that a table describes, with one row per example.

The table is UTF-8 text, its lines end in ``\n``, its fields are separated by tabs. The first line
names the columns, in any order:

===============  ================================================================================
id               unique within its split
audio            a file inside the table's folder or --audio-root; empty: only text
start            seconds into the file; empty: 0
duration         seconds; empty: to the end of the file
speaker          may be empty
source_text      the transcript, or the text to translate; audio with labels may lack it
target_text      its translation; empty if and only if the target language is
source_language  such as en
target_language  such as de
split            "train" if it is empty or there is no such column
===============  ================================================================================

Further columns are labels of the examples, if ``labels`` names them; an empty field is no label.
Quotation marks are part of a field. A field in quotes with only doubled ones inside was either
quoted by the program that wrote the table, such as pandas or Excel, or is a whole sentence of
direct speech; ``quotes`` says which.
"""

import csv
import functools
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from taskaware.data.corpora.base import NO_LABELS, Splits, Unreadable
from taskaware.data.corpora.segments import Entry, Segment, as_splits
from taskaware.data.corpora.tables import AudioFolder, csv_quoted, lines, plain
from taskaware.errors import UsageError, nearest

_TEXTS = ("speaker", "source_text", "target_text", "source_language", "target_language")
"""In the order of ``Segment``'s fields."""
_COLUMNS = ("id", "audio", "start", "duration", *_TEXTS)

_Quotes = Literal["refuse", "keep", "undo"]


@dataclass(frozen=True)
class Manifest:
    """The examples that a table lists; all text is checked before any audio."""

    table: Path
    """A table with one row per example, in the format above."""
    audio_root: Path | None = None
    """The folder in which all audio must lie, and to which its paths are relative; None: the
    table's own. A table from elsewhere cannot reach other files."""
    resample: bool = False
    """Whether audio of another rate than 16 kHz is converted instead of refused."""
    quotes: _Quotes = "refuse"
    """What to do with fields that are quoted as in CSV: refuse them; keep the quotes as text; or
    undo the quoting of all fields, which may then contain tabs and line ends too."""
    labels: tuple[str, ...] = ()
    """Columns whose fields are labels of the examples, such as intent or speaker."""

    name = "manifest"

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name file and line."""
        root = self.table.parent if self.audio_root is None else self.audio_root
        entries = _entries(self.table, root, self.quotes, self.labels)
        return as_splits(entries, self.table.stem, strict=strict, resample=self.resample)


def _entries(
    table: Path, root: Path, quotes: _Quotes, labels: tuple[str, ...]
) -> dict[str, list[Entry]]:
    """Check every row, and return them by split."""
    splits: dict[str, list[Entry]] = {}
    split = "train"
    rows = _csv_rows(table) if quotes == "undo" else _rows(table, refuse=quotes == "refuse")
    columns = _columns(*next(rows, (f"{table}:1", [])), labels)
    folders = functools.cache(AudioFolder.of)
    for where, fields in rows:
        if isinstance(fields, Unreadable):
            # Its own split is not known: it counts in the split of the row above.
            splits.setdefault(split, []).append(fields)
            continue
        try:
            split, segment = _segment(where, fields, columns, root, folders, labels)
            splits.setdefault(split, []).append(segment)
        except UsageError as error:
            splits.setdefault(split, []).append(Unreadable("row", f"{where}: {error}"))
    if not splits:
        raise UsageError(f"{table}: expected rows below the header, found none")
    return splits


_Row = tuple[str, list[str] | Unreadable]
"""FILE:LINE, and its fields, without white space around them."""


def _rows(table: Path, *, refuse: bool) -> Iterator[_Row]:
    """Yield the rows except empty ones; those with quoted fields are unreadable, if refused."""
    for line in lines(table):
        try:
            fields = [field.strip() for field in line.text().split("\t")]
        except UsageError as error:
            yield line.where, Unreadable("row", str(error))
            continue
        quoted = [field for field in fields if refuse and csv_quoted(field)]
        if quoted:
            message = (
                f"{line.where}: expected fields without quoting, found {quoted[0]!r}; if the table"
                " was written as CSV, as by pandas or Excel, say --quotes undo, and if the quotes"
                " are text, --quotes keep"
            )
            yield line.where, Unreadable("field in quotes", message)
        elif any(fields):
            yield line.where, fields


def _csv_rows(table: Path) -> Iterator[_Row]:
    """Yield the rows, except empty ones, of a table whose fields may be quoted."""
    # The reader ends a line at a carriage return by itself, unless it is in quotes.
    texts = (line.text().replace("\r", " ") + "\n" for line in lines(table))
    reader = csv.reader(texts, delimiter="\t", strict=True)
    where = f"{table}:1"
    try:
        for row in reader:
            fields = [field.strip() for field in row]
            if any(fields):
                yield where, fields
            where = f"{table}:{reader.line_num + 1}"
    except csv.Error as error:
        raise UsageError(
            f"{where}: expected fields quoted as in CSV, or not at all, found others ({error});"
            " mend the row, or say --quotes keep if the quotes are text"
        ) from None


def _columns(where: str, columns: list[str] | Unreadable, labels: tuple[str, ...]) -> list[str]:
    if isinstance(columns, Unreadable):
        raise UsageError(columns.message)
    for name in (*_COLUMNS, *labels):
        if name not in columns:
            raise UsageError(
                f"{where}: column {name!r} is missing, found {', '.join(columns) or 'nothing'}"
                f"{nearest(name, columns)}"
            )
    names = [*dict.fromkeys((*_COLUMNS, "split", *labels))]
    for name in columns:
        if name not in names or columns.count(name) > 1:
            raise UsageError(
                f"{where}: expected each of the columns {', '.join(names)} once and no others but"
                f" those of --labels, found {name!r}"
                f"{' twice' if name in names else nearest(name, names)}"
            )
    return columns


def _segment(
    where: str,
    fields: list[str],
    columns: list[str],
    root: Path,
    folders: Callable[[Path], AudioFolder],
    labels: tuple[str, ...],
) -> tuple[str, Segment]:
    if len(fields) != len(columns):
        raise UsageError(
            f"expected {len(columns)} fields separated by tabs, as in the header, found"
            f" {len(fields)}"
        )
    row = dict(zip(columns, fields, strict=True))
    row |= {name: plain(row[name]) for name in (*_TEXTS, *labels)}
    given = {name: row[name] for name in labels}
    split = row.pop("split", "") or "train"
    heard = bool(row["audio"]) and any(given.values())
    for name in ("id", "source_text", "source_language"):
        if not row[name] and not (name == "source_text" and heard):
            raise UsageError(f"expected {name}, found it empty")
    if bool(row["target_text"]) != bool(row["target_language"]):
        raise UsageError(
            "expected target_text and target_language both, or neither, found"
            f" {row['target_text']!r} and {row['target_language']!r}"
        )
    start, duration = _seconds("start", row), _seconds("duration", row)
    audio = ""
    if row["audio"]:
        audio = _audio(root, row["audio"], folders)
    elif start is not None or duration is not None:
        raise UsageError("expected start and duration only beside audio, found them without")
    texts = (row[name] for name in _TEXTS)
    about = (row["id"], audio, start or 0.0, duration)
    return split, Segment(where, *about, *texts, labels=given or NO_LABELS)


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


def _audio(root: Path, audio: str, folders: Callable[[Path], AudioFolder]) -> str:
    """Return the path of a file below ``root``; one outside, by any path or link, is refused."""
    path = root / audio
    _require_inside(root, path, audio)
    if not os.path.exists(path):  # accepts names of any length
        path = _as_spelled(root, audio, folders)
        _require_inside(root, path, audio)
    if not os.path.isfile(path):
        raise UsageError(f"no audio file {audio!r} in {root}")
    return str(path)


def _require_inside(root: Path, path: Path, audio: str) -> None:
    real_root, real_path = os.path.realpath(root), os.path.realpath(path)
    if os.path.commonpath([real_root, real_path]) != real_root:
        raise UsageError(
            f"audio {audio!r} lies outside {root}; name the folder that holds all audio with"
            " --audio-root"
        )


def _as_spelled(root: Path, audio: str, folders: Callable[[Path], AudioFolder]) -> Path:
    """Return the path with each name as it is on disk, in whichever of Unicode's forms."""
    path = root
    for name in Path(audio).parts:
        if os.path.isdir(path) and not os.path.exists(path / name):
            name = folders(path).spelled(name) or name
        path = path / name
    return path
