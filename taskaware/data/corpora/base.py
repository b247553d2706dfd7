"""What every corpus is turned into: one TFDS format, read by position."""

import functools
import io
import itertools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int16

from taskaware.errors import UsageError, nearest
from taskaware.files.digests import sha256

UTTERANCES_PER_SHARD = 200
"""A shard is held in memory while it is written."""
TEXTS_PER_SHARD = 50_000

NO_AUDIO = np.zeros(0, np.int16)

_LONGEST_LINE = 2**20


class Example(NamedTuple):
    """A sentence, spoken or written, with its translation if there is one."""

    id: str
    """Distinct within its split."""
    audio: Int16[np.ndarray, " A"]
    """16 kHz; ``NO_AUDIO`` where there is only text."""
    speaker: str
    source_text: str
    target_text: str
    source_language: str
    target_language: str
    """Empty, like the target text, where there is no translation."""
    corpus: str


class Row(NamedTuple):
    """An example without its samples: what is known before its audio is read."""

    id: str
    num_samples: int
    speaker: str
    source_text: str
    target_text: str
    source_language: str
    target_language: str
    corpus: str


class LeftOut(NamedTuple):
    """What a corpus has and a prepared one should not have, such as a pair without a translation.

    It is counted and listed.
    """

    reason: str
    """The same words for all that are left out for the same reason."""
    where: str
    """FILE:LINE, or the file; the message, of what cannot be read and is left out for that."""


class Noted(NamedTuple):
    """What was done to the example that comes next, such as cutting it at the end of its file.

    It is counted and listed; the example is kept.
    """

    what: str
    """The same words for all to which the same was done."""
    where: str
    """FILE:LINE, or the file."""


class Unreadable(NamedTuple):
    """What cannot be read: preparing stops at it, or is asked to leave it out."""

    kind: str
    """The same words for all problems of a kind."""
    message: str
    """What, where, expected, found, and what to do, in one line."""


Item = Example | LeftOut | Noted | Unreadable
Shard = Callable[[], Iterable[Item]]
"""Reads a part of a split. It can be pickled, so that another process may read it."""
Splits = Mapping[str, Sequence[Shard]]


@runtime_checkable
class Corpus(Protocol):
    """A corpus on disk: a frozen dataclass whose fields say where it is and what is wanted."""

    @property
    def name(self) -> str:
        """In lower case with underscores."""
        ...

    def splits(self, *, strict: bool) -> Splits:
        """Return what reads it.

        Args:
            strict: whether the first thing that is wrong with its tables is an error at once;
                else the shards tell.

        Raises:
            UsageError: files are missing, or something is wrong with them.
        """
        ...


def lines_of(file: io.BufferedIOBase, name: Path, *, lone_returns: bool = False) -> Iterator[bytes]:
    r"""Yield the lines of a file, which end in ``\n``, with their ends.

    Args:
        file: open for reading.
        name: its name, for messages.
        lone_returns: whether it may be a single line with carriage returns in it; else that is
            a file whose lines end in them alone, all of which would be taken for one.

    Raises:
        UsageError: a line is longer than a mebibyte, or carriage returns alone end the lines.
    """
    read = functools.partial(file.readline, _LONGEST_LINE + 1)
    pairs = itertools.pairwise(itertools.chain(iter(read, b""), [b""]))
    for number, (line, following) in enumerate(pairs, start=1):
        long = len(line) > _LONGEST_LINE
        single = number == 1 and (long or not following)
        if single and not lone_returns and b"\r" in line.rstrip(b"\r\n"):
            raise UsageError(f"{name}: lines end in CR alone; convert them, as with tr '\\r' '\\n'")
        if long:
            raise UsageError(
                f"{name}:{number}: expected a line of at most {_LONGEST_LINE:,} bytes, found a"
                " longer one; is it text?"
            )
        yield line


def decode_line(line: bytes) -> str:
    """Return a line of a text file; what is not UTF-8 text is a UsageError."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"expected UTF-8, found byte 0x{line[error.start]:02x} at byte {error.start + 1}"
        ) from None
    if "\0" in text:
        raise UsageError("expected text, found a NUL character")
    return text


def feature_types() -> Any:
    """Return what a record is made of, as TFDS describes it."""
    import tensorflow_datasets as tfds

    texts = {name: tfds.features.Text() for name in Example._fields if name != "audio"}
    # As raw bytes, samples are read 17 times faster than in the default encoding.
    audio = tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")
    rate = tfds.features.Scalar(np.int32)
    return tfds.features.FeaturesDict({"audio": audio, "sample_rate": rate} | texts)


def index(directory: Path, split: str) -> Path:
    """A JSON array a line, the fields of ``Row``, in the order of the records."""
    return directory / f"index-{split}.jsonl"


def left_out(directory: Path, split: str) -> Path:
    """A JSON array a line, a reason and where, of all that was left out."""
    return directory / f"left_out-{split}.jsonl"


def noted(directory: Path, split: str) -> Path:
    """A JSON array a line, what was done and where, of what was kept all the same."""
    return directory / f"noted-{split}.jsonl"


def digests_file(directory: Path) -> Path:
    """A JSON object: the SHA-256 of each file of records, index or what was left out."""
    return directory / "sha256.json"


class PreparedCorpus:
    """A folder written by ``prepare``: its rows, and the audio of each.

    Safe to use from several threads.

    Attributes:
        directory: the folder.
        splits: names of the splits, such as "train".
    """

    def __init__(self, directory: str | Path):
        """Open a folder.

        Raises:
            UsageError: ``prepare`` did not write it, or files of it are missing or cut.
        """
        self.directory = Path(directory)
        if not (self.directory / "dataset_info.json").is_file():
            raise UsageError(
                f"{directory}: expected a folder written by taskaware prepare, found no"
                " dataset_info.json in it"
            )
        # They take a second, for which --help should not wait.
        import tensorflow_datasets as tfds
        from google.protobuf import json_format

        try:
            found = json.loads((self.directory / "features.json").read_bytes())
            # TFDS imports whatever module a description of features names.
            if found != json_format.MessageToDict(feature_types().to_proto()):
                raise ValueError("features.json is not what prepare writes")
            builder = tfds.builder_from_directory(self.directory)
            splits = builder.info.splits.values()
            places = {split.name: [Path(path) for path in split.filepaths] for split in splits}
            self._records: Any = builder.as_data_source()
        except Exception as error:  # TFDS, protobuf and json each raise their own.
            raise self._damaged(f"cannot read its description ({error})") from None
        for split in splits:
            files = places[split.name]
            if any(os.path.split(file)[0] != str(self.directory) for file in files):
                raise self._damaged(f"split {split.name!r} names files outside of it")
            size = sum(file.stat().st_size for file in files if file.is_file())
            if size != split.num_bytes:
                raise self._damaged(
                    f"expected {int(split.num_bytes)} bytes of split {split.name!r}, found {size}"
                )
        self.splits: tuple[str, ...] = tuple(split.name for split in splits)
        self._files = {index(self.directory, split).name for split in self.splits}
        self._files |= {file.name for files in places.values() for file in files}
        self._num_examples = {split.name: split.num_examples for split in splits}
        self._rows: dict[str, list[Row]] = {}
        self._lock = threading.Lock()

    def __reduce__(self):
        """Pickle as the folder's name: a copy in another process opens it anew."""
        return PreparedCorpus, (self.directory,)

    def rows(self, split: str) -> list[Row]:
        """Return all rows of a split; the list is read once and shared, so do not change it.

        Raises:
            UsageError: there is no such split, or its index is damaged.
        """
        if split not in self.splits:
            raise UsageError(
                f"{self.directory}: no split {split!r}, found {', '.join(self.splits)}"
                f"{nearest(split, self.splits)}"
            )
        with self._lock:
            if split not in self._rows:
                self._rows[split] = self._read_index(split)
            return self._rows[split]

    def audio(self, split: str, i: int) -> Int16[np.ndarray, " A"]:
        """Return the samples of row i, 16 kHz, read-only; none if it is only text.

        Raises:
            UsageError: the record is damaged or belongs to another row.
        """
        row = self.rows(split)[i]
        try:
            record = self._records[split][i]
        except Exception as error:  # array_record's and protobuf's own, undocumented.
            raise self._damaged(f"cannot read {row.id!r} of split {split!r} ({error})") from None
        found = record["id"].decode(), len(record["audio"])
        if found != (row.id, row.num_samples):
            raise self._damaged(
                f"expected row {i} of split {split!r} to be {row.id!r} with {row.num_samples}"
                f" samples, found {found[0]!r} with {found[1]}"
            )
        return record["audio"]

    def _read_index(self, split: str) -> list[Row]:
        path = index(self.directory, split)
        try:
            with open(path, "rb") as file:
                rows = [_row(line) for line in lines_of(file, path)]
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise self._damaged(f"cannot read {path.name} ({error})") from None
        if len(rows) != self._num_examples[split]:
            raise self._damaged(
                f"expected {self._num_examples[split]} rows in {path.name}, found {len(rows)}"
            )
        return rows

    def left_out(self, split: str) -> list[LeftOut]:
        """Return what was left out of a split; nothing in a folder of before it was noted."""
        return [LeftOut(*pair) for pair in self._pairs(left_out(self.directory, split))]

    def noted(self, split: str) -> list[Noted]:
        """Return what was done to examples of a split; nothing in a folder of before it was."""
        return [Noted(*pair) for pair in self._pairs(noted(self.directory, split))]

    def _pairs(self, path: Path) -> list[list[str]]:
        if not path.exists():
            return []
        try:
            with open(path, "rb") as file:
                return [_texts(json.loads(line), 2) for line in lines_of(file, path)]
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise self._damaged(f"cannot read {path.name} ({error})") from None

    def verify(self) -> None:
        """Read every file and compare it with what was written.

        Raises:
            UsageError: a file is missing or another, or no digests have been written.
        """
        try:
            expected = dict(json.loads(digests_file(self.directory).read_bytes()))
            _texts([*expected.values()], len(expected))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise self._damaged(f"cannot read its digests ({error})") from None
        for name in expected:
            if os.path.basename(name) != name or not (self.directory / name).is_file():
                raise self._damaged(f"expected a file of it named {name!r}, found none")
        if missing := sorted(self._files - expected.keys()):
            raise self._damaged(f"expected a digest of {missing[0]}, found none")
        for name, digest in expected.items():
            try:
                found = sha256(self.directory / name)
            except OSError as error:
                raise self._damaged(f"cannot read {name} ({error.strerror})") from None
            if found != digest:
                raise self._damaged(
                    f"expected {name} to have SHA-256 {digest[:12]}…, found {found[:12]}…"
                )

    def _damaged(self, what: str) -> UsageError:
        what = " ".join(what.split())
        return UsageError(f"{self.directory}: damaged corpus: {what}; prepare it again")


def opened(folder: Path) -> PreparedCorpus:
    """Return a prepared folder whose index this process has read already, if it has."""
    return _opened(folder, (folder / "dataset_info.json").stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _opened(folder: Path, changed: int) -> PreparedCorpus:
    return PreparedCorpus(folder)


def _texts(values: Any, count: int) -> list[str]:
    """Return a list of so many texts; whatever else is a TypeError."""
    if not isinstance(values, list) or [*map(type, values)] != [str] * count:
        raise TypeError(f"expected {count} texts, found {values!r}")
    return values


def _row(line: bytes) -> Row:
    id, num_samples, *texts = json.loads(line)
    if type(num_samples) is not int or num_samples < 0:
        raise TypeError(f"expected a number of samples, found {num_samples!r}")
    id, speaker, source, target, *rest = _texts([id, *texts], len(Row._fields) - 1)
    # Millions of rows share a few languages, corpora and speakers.
    return Row(id, num_samples, sys.intern(speaker), source, target, *map(sys.intern, rest))
