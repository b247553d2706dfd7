"""Read the text files in which corpora list their contents; errors name file and line."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from taskaware.data.corpora.base import LeftOut, Unreadable, decode_line, lines_of
from taskaware.data.corpora.segments import Entry, Segment
from taskaware.errors import UsageError, nearest

_Item = TypeVar("_Item")

_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?", re.ASCII)
"""A plain decimal; ``float`` also accepts 1_0, nan and the digits of every script."""

_CSV_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
"""Quotes at both ends, and in between only in pairs."""


class Line(NamedTuple):
    """A line of a text file."""

    file: Path
    number: int
    content: bytes
    """The line without its line end."""

    @property
    def where(self) -> str:
        """FILE:LINE."""
        return f"{self.file}:{self.number}"

    def text(self) -> str:
        """Return the line as text; one that is not text is a UsageError that names it."""
        try:
            return decode_line(self.content)
        except UsageError as error:
            raise self.error(str(error)) from None

    def error(self, what: str) -> UsageError:
        """Return an error that names the line and says what is wrong with it."""
        return UsageError(f"{self.where}: {what}")


def lines(file: Path, *, lone_returns: bool = False) -> Iterator[Line]:
    r"""Yield the lines of a file.

    Lines end in ``\n``, with or without a carriage return before it, and in nothing else: text may
    contain U+2028 and its like, and a reader that breaks lines there would misalign files. A byte
    order mark is not part of the text.

    Args:
        file: the file to read.
        lone_returns: whether it may be a single line with carriage returns in it.

    Raises:
        UsageError: it cannot be read, has a line that is too long, or other line ends.
    """
    try:
        with open(file, "rb") as opened:
            read = lines_of(opened, file, lone_returns=lone_returns)
            for number, line in enumerate(read, start=1):
                content = line.removesuffix(b"\n").removesuffix(b"\r")
                yield Line(file, number, content.removeprefix(b"\xef\xbb\xbf" * (number == 1)))
    except OSError as error:
        raise UsageError(f"{file}: cannot read the table or text ({error.strerror})") from None


def require_aligned(counts: Mapping[Path, int]) -> None:
    """Raise a UsageError, with all counts, unless all files have equally many lines."""
    if len(set(counts.values())) > 1:
        sizes = ", ".join(f"{count} in {file.name}" for file, count in counts.items())
        raise UsageError(
            f"{next(iter(counts))}: expected equally many lines in the files that belong together,"
            f" found {sizes}; a cut file, or one changed by a program that breaks lines elsewhere:"
            " fetch them again"
        )


def read_each(items: Iterable[_Item], read: Callable[[_Item], Entry | None]) -> Iterator[Entry]:
    """Yield the entry read from each item, unless it is None; a UsageError is ``Unreadable``."""
    for item in items:
        try:
            entry = read(item)
        except UsageError as error:
            entry = Unreadable("row", str(error))
        if entry is not None:
            yield entry


def plain(text: str) -> str:
    r"""Return a text on one line, empty if nothing of it is visible.

    White space becomes single spaces, and so does every line end, such as a carriage return or
    U+2028. Format and control characters (Unicode's categories Cf and Cc) are invisible too.

    Example:
        >>> plain("one\r\n  two\u2028"), plain("\u200b \ufeff")
        ('one two', '')
    """
    words = " ".join(text.split())
    if words[:1].isalnum():  # as in most texts
        return words
    letters = words.replace(" ", "")
    return (
        words if any(unicodedata.category(letter) not in ("Cc", "Cf") for letter in letters) else ""
    )


def csv_quoted(field: str) -> bool:
    """Return whether a field is quoted as in CSV, with quotes inside it doubled.

    Example:
        >>> csv_quoted('"Yes, ""now""."'), csv_quoted('"Yes," he said.')
        (True, False)
    """
    return _CSV_QUOTED.fullmatch(field) is not None


def unquoted(field: str) -> str:
    """Return the content of a field that is quoted as in CSV; another field as it is.

    Example:
        >>> unquoted('"Yes, ""now""."')
        'Yes, "now".'
    """
    match = _CSV_QUOTED.fullmatch(field)
    return match[1].replace('""', '"') if match else field


def unless_empty(segment: Segment) -> Segment | LeftOut:
    """Return a segment with plain texts, or ``LeftOut`` if one that it needs is empty."""
    source, target = plain(segment.source_text), plain(segment.target_text)
    if source and (target or not segment.target_language):
        return segment._replace(source_text=source, target_text=target)
    reason = "a side of the pair is empty" if segment.target_language else "the transcript is empty"
    return LeftOut(reason, segment.where)


class Header(NamedTuple):
    """The positions of the columns of a table that are read."""

    width: int
    """Number of all columns."""
    positions: tuple[int, ...]


def header(line: Line, names: Sequence[str]) -> Header:
    """Find columns by name in the first line of a tab-separated table, among any others.

    Raises:
        UsageError: a column is missing, or occurs twice.
    """
    columns = [column.strip() for column in line.text().split("\t")]
    for name in names:
        if columns.count(name) != 1:
            raise line.error(
                f"expected a column {name!r}, found {'it twice' if name in columns else 'none'} in"
                f" {', '.join(columns).strip() or 'an empty line'}{nearest(name, columns)}"
            )
    return Header(len(columns), tuple(columns.index(name) for name in names))


def fields(line: Line, columns: Header) -> list[str]:
    """Return a row's fields in the columns of a header; quotes are text.

    Raises:
        UsageError: the row is too short for them, or longer than the header.
    """
    row = line.text().split("\t")
    if not max(columns.positions) < len(row) <= columns.width:
        raise line.error(
            f"expected {columns.width} fields separated by tabs, as in the header, or at least the"
            f" first {max(columns.positions) + 1}, found {len(row)}"
        )
    return [row[position] for position in columns.positions]


def seconds(line: Line, what: str, text: str) -> float:
    """Return a time in seconds, 0 or more; anything else is a UsageError."""
    if not _NUMBER.fullmatch(text) or (value := float(text)) == float("inf"):
        raise line.error(f"{what}: expected seconds, 0 or more, as in 12.34, found {text!r}")
    return value


def stretch(line: Line, start: str, end: str) -> tuple[float, float]:
    """Return the start and the duration, in seconds, of the stretch between two times.

    Raises:
        UsageError: they are not times, or in the wrong order.
    """
    first, last = seconds(line, "start", start), seconds(line, "end", end)
    if last < first:
        raise line.error(f"expected an end after the start {start} s, found {end} s")
    return first, last - first


class AudioFolder(NamedTuple):
    """A folder of audio, and the files in it."""

    path: Path
    names: frozenset[str]
    decomposed: Mapping[str, str]
    """Names that are not in Unicode's form NFC on disk, by that form: macOS once wrote é as e and
    an accent.
    """

    @classmethod
    def of(cls, path: Path) -> "AudioFolder":
        """List a folder once, instead of looking up each of a million files.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            names = frozenset(os.listdir(path))
        except OSError as error:
            raise UsageError(f"{path}: cannot read the folder ({error.strerror})") from None
        composed = ((unicodedata.normalize("NFC", name), name) for name in names)
        return cls(path, names, {nfc: name for nfc, name in composed if nfc != name})

    def spelled(self, name: str) -> str | None:
        """Return a file's name as it is on disk, in whichever of Unicode's forms; None if none is.

        Names that look the same are the same: a table and a disk need not agree on code points.
        """
        composed = unicodedata.normalize("NFC", name)
        for same in (name, composed):
            if same in self.names:
                return same
        return self.decomposed.get(composed)

    def file(self, line: Line, stem: str, *suffixes: str) -> str:
        """Return the path of the file that a line names, with the first suffix that exists.

        Raises:
            UsageError: the name is not a bare file name, or there is no such file.
        """
        if "/" in stem or "\\" in stem or stem in ("", ".", ".."):
            raise line.error(f"expected the bare name of an audio file, found {stem!r}")
        names = [stem + suffix for suffix in suffixes or ("",)]
        for name in names:
            if (spelled := self.spelled(name)) is not None:
                return str(self.path / spelled)
        raise line.error(f"no audio file {' or '.join(map(repr, names))} in {self.path}")
