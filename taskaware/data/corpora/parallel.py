r"""Parallel text from any folder: line i of one file is the translation of line i of another.

A split is found by the stem of its files' names, and its texts stand in one of two ways, either
of them also gzipped, with ``.gz`` at the end of the name:

===============  ================================================================================
STEM.LANGUAGE    a file a language, of equally many lines
STEM.tsv         one table, a column a language in the order they are given in, between tabs;
                 it has neither header nor quoting
===============  ================================================================================

All is UTF-8 and its lines end in ``\n``. The first language is the source: each line gives an
example for each of the others.
"""

import collections
import functools
import gzip
import itertools
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from taskaware.data.corpora.base import (
    NO_AUDIO,
    TEXTS_A_SHARD,
    Example,
    PreparedCorpus,
    Splits,
    decode_line,
    prepare,
)
from taskaware.errors import UsageError, nearest


def prepare_parallel(
    folder: str | Path,
    out: str | Path,
    *,
    languages: Sequence[str],
    splits: Mapping[str, str],
    on_example: Callable[[int], None] | None = None,
    on_left_out: Callable[[str, int], None] | None = None,
) -> PreparedCorpus:
    """Prepare text and its translations; all of it is checked before any is written.

    White space is made single spaces. A pair of which one side is empty is left out.

    Args:
        folder: where the files are; its name becomes the corpus's.
        out: folder to write.
        languages: the source and one or more targets, as the files are named, such as en, de.
        splits: the stem of each split's files, such as {"train": "train", "test": "test_2016"}.
        on_example: told after each example how many have been written.
        on_left_out: told the name of each split, and how many pairs of it were left out.

    Raises:
        UsageError: a file is missing or damaged, with the line where there is one, or the files
            of a split differ in their numbers of lines.
    """
    known = [name for name in languages if re.fullmatch(r"[\w-]+", name)]
    if len(known) < 2 or len(set(known)) < len(languages):
        raise UsageError(
            "languages: expected a source and one or more targets, all different, as in en de,"
            f" found {' '.join(languages) or 'none'}"
        )
    on_left_out = on_left_out or (lambda split, count: None)
    read = functools.partial(_read, Path(folder), tuple(languages), splits, on_left_out)
    return prepare("parallel", read, out, on_example)


def _read(
    folder: Path,
    languages: tuple[str, ...],
    splits: Mapping[str, str],
    on_left_out: Callable[[str, int], None],
) -> Splits:
    found = {split: _files(folder, stem, languages) for split, stem in splits.items()}
    shards = {}
    for split, files in found.items():
        pairs = _pairs(files, languages)
        whole = collections.Counter(bool(source and target) for *_, source, target in pairs)
        if not whole[True]:
            raise UsageError(
                f"{files[0]}: expected lines with a text and its translation, found none"
            )
        on_left_out(split, whole[False])
        # Shards are written one after another: each goes on where the last one stopped.
        examples = _examples(files, languages, split, _name(folder))
        shard = functools.partial(itertools.islice, examples, TEXTS_A_SHARD)
        shards[split] = [shard] * math.ceil(whole[True] / TEXTS_A_SHARD)
    return shards


def _name(folder: Path) -> str:
    """Return the folder's name in lower case, made of word characters."""
    name = os.path.basename(os.path.abspath(folder)).lower()
    return re.sub(r"\W+", "_", name).strip("_") or "parallel"


def _files(folder: Path, stem: str, languages: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the files of a split: one a language, or one table of all languages."""
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
            there = sorted({name.removesuffix(".gz") for name in os.listdir(folder)})
        except OSError as error:
            raise UsageError(f"{folder}: cannot read the folder ({error.strerror})") from None
        raise UsageError(
            f"{folder}: expected {', '.join(names)}, or else {stem}.tsv, each as it is or with .gz,"
            f" found no {', no '.join(missing)}{nearest(missing[0], there)}"
        )
    return aligned


def _file(folder: Path, name: str) -> Path | None:
    """Return the file of that name, plain or gzipped, if there is one."""
    found = [path for path in (folder / name, folder / f"{name}.gz") if os.path.isfile(path)]
    if len(found) > 1:
        raise UsageError(f"{folder}: expected {name} or {name}.gz, found both; remove one of them")
    return found[0] if found else None


def _examples(
    files: tuple[Path, ...], languages: tuple[str, ...], split: str, corpus: str
) -> Iterator[Example]:
    for line, language, source, target in _pairs(files, languages):
        if source and target:
            id = f"{split}-{line:07}-{language}"
            yield Example(id, NO_AUDIO, "", source, target, languages[0], language, corpus)


def _pairs(
    files: tuple[Path, ...], languages: tuple[str, ...]
) -> Iterator[tuple[int, str, str, str]]:
    """Yield line, target language, source text and target text, either of which may be empty."""
    rows = _rows_of_table(files[0], len(languages)) if len(files) == 1 else _rows_of_files(files)
    for line, row in enumerate(rows, start=1):
        # A line's end, with a carriage return or not, is white space too.
        source, *targets = (" ".join(text.split()) for text in row)
        for language, target in zip(languages[1:], targets, strict=True):
            yield line, language, source, target


def _rows_of_table(file: Path, width: int) -> Iterator[Sequence[str]]:
    for number, line in enumerate(_lines(file), start=1):
        row = line.split("\t")
        if len(row) != width:
            raise UsageError(
                f"{file}:{number}: expected {width} texts separated by tabs, one a language, found"
                f" {len(row)}"
            )
        yield row


def _rows_of_files(files: tuple[Path, ...]) -> Iterator[Sequence[str]]:
    columns = [_lines(file) for file in files]
    for number, row in enumerate(itertools.zip_longest(*columns), start=1):
        if None in row:
            counts = [
                number - 1 if text is None else number + sum(1 for _ in lines)
                for text, lines in zip(row, columns, strict=True)
            ]
            other = next(i for i, count in enumerate(counts) if count != counts[0])
            raise UsageError(
                f"{files[other]}: expected {counts[0]} lines, as in {files[0].name}, found"
                f" {counts[other]}; line i of one must be the translation of line i of the other"
            )
        yield row


def _lines(file: Path) -> Iterator[str]:
    """Yield the lines of a file, gzipped or not, with their ends."""
    number = 0
    try:
        # A binary file's lines end in \n alone: text may hold U+2028 and its like.
        with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield decode_line(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
    except UsageError as error:
        raise UsageError(f"{file}:{number}: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{file}: cannot read on after line {number} ({reason}); is the file whole?"
        ) from None
