r"""Parallel text from any folder: line i of one file is the translation of line i of another.

A split is named by the stem of its files, and its texts are stored in one of two ways, both also
gzipped, with ``.gz`` at the end of the name:

===============  ================================================================================
STEM.LANGUAGE    one file per language, of equally many lines
STEM.tsv         one table, one column per language in the given order, separated by tabs;
                 without header or quoting; a field that is quoted as in CSV is refused
===============  ================================================================================

All files are UTF-8 and their lines end in ``\n``. The first language is the source: each line gives
one example per other language.
"""

import collections
import functools
import gzip
import itertools
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskaware.data.corpora.base import (
    NO_AUDIO,
    TEXTS_PER_SHARD,
    Example,
    LeftOut,
    Splits,
    decode_line,
    lines_of,
)
from taskaware.data.corpora.tables import csv_quoted, plain
from taskaware.errors import UsageError, nearest

_MOST_UNZIPPED = 50
"""Bytes of text per stored byte; gzip stores about 4 of text in one, and up to 1,032 of zeros."""


@dataclass(frozen=True)
class Parallel:
    """Text and its translations; all of it is checked before any is written.

    A line that is not text, or has another number of columns, is always an error: the lines after
    it may not belong together.

    White space becomes single spaces. A pair with an empty or invisible side is left out.
    """

    folder: Path
    """The folder of the files; its name becomes the corpus' name."""
    languages: tuple[str, ...]
    """Languages of the source, then of one or more targets, as in the files' names: en de ro."""
    train: tuple[str, ...] = ()
    """Stems of the files to train on; several are joined."""
    validation: tuple[str, ...] = ()
    """Stems of the files to validate on; several are joined."""
    test: tuple[str, ...] = ()
    """Stems of the files to test on; several are joined."""

    columns: tuple[str, ...] = ()
    """Languages of the columns of a .tsv, if they are not in the order of the languages."""

    name = "parallel"

    def __post_init__(self):
        """Raise UsageError on languages that cannot be a source and its targets."""
        valid = [name for name in self.languages if re.fullmatch(r"[\w-]+", name)]
        if len(valid) < 2 or len(set(valid)) < len(self.languages):
            raise UsageError(
                "languages: expected a source and one or more targets, all different, as in en de,"
                f" found {' '.join(self.languages) or 'none'}"
            )
        if self.columns and sorted(self.columns) != sorted(self.languages):
            raise UsageError(
                f"columns: expected the languages {' '.join(self.languages)} in another order,"
                f" found {' '.join(self.columns)}"
            )

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus; errors name the file and, if any, the line."""
        options = {"train": self.train, "validation": self.validation, "test": self.test}
        stems = {split: stems for split, stems in options.items() if stems}
        for split, some in stems.items():
            if len(set(some)) < len(some):
                raise UsageError(f"{split}: expected each stem once, found {' '.join(some)}")
        if not stems:
            raise UsageError("parallel: expected --train, --validation or --test, found none")
        # All files are located before any is read.
        files = {
            stem: _files(self.folder, stem, self.languages)
            for stem in itertools.chain(*stems.values())
        }
        return {
            split: [
                functools.partial(_examples, self, stem, files[stem], start, i)
                for stem in some
                for i, start in enumerate(_starts(files[stem], self._order()))
            ]
            for split, some in stems.items()
        }

    def _order(self) -> tuple[int, ...]:
        """Return each language's column in a table."""
        return tuple((self.columns or self.languages).index(name) for name in self.languages)


def _starts(files: tuple[Path, ...], order: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Check all of a split's texts, and return where in its files each shard starts."""
    columns = [_Lines(file) for file in files]
    starts, whole = [], False
    start = tuple(0 for _ in files)
    for number, (source, *targets) in enumerate(_rows(columns, order)):
        if number % TEXTS_PER_SHARD == 0:
            starts.append(start)
        whole = whole or bool(source and any(targets))
        start = tuple(column.offset for column in columns)
    if not whole:
        raise UsageError(f"{files[0]}: expected lines with a text and its translation, found none")
    return starts


def _name(folder: Path) -> str:
    """Return the folder's name in lower case, made of word characters."""
    name = os.path.basename(os.path.abspath(folder)).lower()
    return re.sub(r"\W+", "_", name).strip("_") or "parallel"


def _files(folder: Path, stem: str, languages: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the files of a split: one per language, or one table of all languages."""
    names = [f"{stem}.{language}" for language in languages]
    files = [_file(folder, name) for name in names]
    table = _file(folder, f"{stem}.tsv")
    aligned = tuple(file for file in files if file is not None)
    if table is not None and len(aligned) < len(names):
        return (table,)
    if table is not None:
        raise UsageError(
            f"{folder}: expected {', '.join(names)} or {stem}.tsv, found both; remove one of them"
        )
    if len(aligned) < len(names):
        missing = [name for name, file in zip(names, files, strict=True) if file is None]
        try:
            present = sorted({name.removesuffix(".gz") for name in os.listdir(folder)})
        except OSError as error:
            raise UsageError(f"{folder}: cannot read the folder ({error.strerror})") from None
        raise UsageError(
            f"{folder}: expected {', '.join(names)}, or else {stem}.tsv, each as it is or with .gz,"
            f" found no {', no '.join(missing)}{nearest(missing[0], present)}"
        )
    return aligned


def _file(folder: Path, name: str) -> Path | None:
    """Return the file of that name, plain or gzipped, if there is one."""
    paths = [path for path in (folder / name, folder / f"{name}.gz") if os.path.isfile(path)]
    if len(paths) > 1:
        raise UsageError(f"{folder}: expected {name} or {name}.gz, found both; remove one of them")
    return paths[0] if paths else None


def _examples(
    corpus: Parallel, stem: str, files: tuple[Path, ...], start: tuple[int, ...], number: int
) -> Iterator[Example | LeftOut]:
    """Read shard ``number`` of a split, whose rows begin at the positions ``start``."""
    columns = [_Lines(*where) for where in zip(files, start, strict=True)]
    rows = itertools.islice(_rows(columns, corpus._order()), TEXTS_PER_SHARD)
    source_language, *languages = corpus.languages
    name = _name(corpus.folder)
    for line, (source, *targets) in enumerate(rows, start=number * TEXTS_PER_SHARD + 1):
        for language, target in zip(languages, targets, strict=True):
            if source and target:
                id = f"{stem}-{line:07}-{language}"
                yield Example(id, NO_AUDIO, "", source, target, source_language, language, name)
            else:
                yield LeftOut("a side of the pair is empty", f"{files[0]}:{line}")


def _rows(columns: "list[_Lines]", order: tuple[int, ...]) -> Iterator[list[str]]:
    """Yield the texts of each line in all languages, any of which may be empty."""
    rows = _rows_of_table(columns[0], order) if len(columns) == 1 else _rows_of_files(columns)
    return ([plain(text) for text in row] for row in rows)


def _rows_of_table(lines: "_Lines", order: tuple[int, ...]) -> Iterator[Sequence[str]]:
    for line in lines:
        row = line.split("\t")
        if len(row) != len(order):
            raise UsageError(
                f"{lines.file}:{lines.number}: expected {len(order)} texts separated by tabs, one"
                f" per language, found {len(row)}"
            )
        for field in map(str.strip, row):
            # A whole sentence in quotes is direct speech; with doubled quotes inside it is CSV.
            if '""' in field[1:-1] and csv_quoted(field):
                raise UsageError(
                    f"{lines.file}:{lines.number}: expected texts without quoting, found"
                    f" {field!r}, quoted as in CSV; write the table without (pandas:"
                    " quoting=csv.QUOTE_NONE), or one file per language"
                )
        yield [row[column] for column in order]


def _rows_of_files(columns: "list[_Lines]") -> Iterator[Sequence[str]]:
    for row in itertools.zip_longest(*columns):
        if None in row:
            for column in columns:
                collections.deque(column, maxlen=0)  # to its end
            first = columns[0]
            other = next(column for column in columns if column.number != first.number)
            raise UsageError(
                f"{other.file}: expected {first.number} lines, as in {first.file.name}, found"
                f" {other.number}; line i of one must be the translation of line i of the other"
            )
        yield row


class _Lines:
    """The lines of a file, gzipped or not, with their ends.

    Attributes:
        file: what is read.
        offset: bytes of text that have been read.
        number: lines that have been read since the start.
    """

    def __init__(self, file: Path, offset: int = 0):
        self.file, self.offset, self.number = file, offset, 0
        self._lines = self._read()

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def _read(self) -> Iterator[str]:
        try:
            most = _MOST_UNZIPPED * (2**14 + os.path.getsize(self.file))
            with gzip.open(self.file) if self.file.suffix == ".gz" else open(self.file, "rb") as f:
                f.seek(self.offset)
                for line in lines_of(f, self.file, lone_returns=self.offset > 0):
                    self.number += 1
                    first = self.offset == 0
                    self.offset += len(line)
                    if self.offset > most:
                        raise UsageError(
                            f"{self.file}: expected text, found more than {_MOST_UNZIPPED} times"
                            " what is stored; is it a bomb?"
                        )
                    yield self._text(line.removeprefix(b"\xef\xbb\xbf") if first else line)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(
                f"{self.file}: cannot read on after line {self.number} ({reason}); is the file"
                " whole?"
            ) from None

    def _text(self, line: bytes) -> str:
        try:
            return decode_line(line)
        except UsageError as error:
            raise UsageError(f"{self.file}:{self.number}: {error}") from None
