"""The format into which every corpus is prepared: TFDS, read by position."""

import functools
import io
import itertools
import json
import os
import re
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
NO_LABELS: Mapping[str, str] = {}
"""Millions of rows share it."""

_LONGEST_LINE = 2**20
_LABEL = re.compile(r"(?=\S)[^\t\n\v\f\r\0\x1c-\x1e\x85\u2028\u2029]+(?<=\S)")


class Example(NamedTuple):
    """A sentence, spoken or written, with its translation if there is one."""

    id: str
    """Unique within its split."""
    audio: Int16[np.ndarray, " A"]
    """16 kHz; ``NO_AUDIO`` if there is only text."""
    speaker: str
    source_text: str
    target_text: str
    source_language: str
    target_language: str
    """Empty, like the target text, if there is no translation."""
    corpus: str
    labels: Mapping[str, str] = NO_LABELS
    """What else is known of it, such as its intent: a text for each column that it has."""


class Row(NamedTuple):
    """An example without its samples, as the index lists it."""

    id: str
    num_samples: int
    speaker: str
    source_text: str
    target_text: str
    source_language: str
    target_language: str
    corpus: str
    labels: Mapping[str, str] = NO_LABELS


class LeftOut(NamedTuple):
    """A part of a corpus that is not prepared, such as a pair without a translation.

    It is counted and listed.
    """

    reason: str
    """The same words for all that is left out for the same reason."""
    where: str
    """FILE:LINE, or the file; for what cannot be read, the message."""


class Noted(NamedTuple):
    """A note on the next example, such as that it was cut at the end of its file.

    It is counted and listed; the example is used.
    """

    what: str
    """The same words for all notes of a kind."""
    where: str
    """FILE:LINE, or the file."""


class Unreadable(NamedTuple):
    """A part of a corpus that cannot be read: an error, or left out on request."""

    kind: str
    """The same words for all problems of a kind."""
    message: str
    """What, where, expected, found, and what to do, in one line."""


Item = Example | LeftOut | Noted | Unreadable
Shard = Callable[[], Iterable[Item]]
"""Reads a part of a split. It can be pickled, so that another process can read it."""
Splits = Mapping[str, Sequence[Shard]]


@runtime_checkable
class Corpus(Protocol):
    """A corpus on disk: a frozen dataclass whose fields say where it is and what to read."""

    @property
    def name(self) -> str:
        """The corpus' name, in lower case with underscores."""
        ...

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that read the corpus, by split.

        Args:
            strict: whether the first mistake in its tables is an error at once; otherwise the
                shards yield ``Unreadable``.

        Raises:
            UsageError: files are missing, or something is wrong with them.
        """
        ...


def lines_of(file: io.BufferedIOBase, name: Path, *, lone_returns: bool = False) -> Iterator[bytes]:
    r"""Yield the lines of a file, which end in ``\n``, with their ends.

    Args:
        file: open for reading.
        name: its name, for messages.
        lone_returns: whether it may be a single line with carriage returns in it; otherwise that
            is taken for a file whose lines end in carriage returns alone.

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
    """Return a line of a text file as text; what is not UTF-8 text is a UsageError."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"expected UTF-8, found byte 0x{line[error.start]:02x} at byte {error.start + 1}"
        ) from None
    if "\0" in text:
        raise UsageError("expected text, found a NUL character")
    return text


def is_label(value: Any) -> bool:
    """Return whether a value can be a label, or the name of a column of labels.

    That is one line of text, without tabs and NUL, and without white space around it.
    """
    return isinstance(value, str) and _LABEL.fullmatch(value) is not None


def feature_types() -> Any:
    """Return the features of a record, as TFDS describes them; labels are a JSON object."""
    import tensorflow_datasets as tfds

    texts = {name: tfds.features.Text() for name in Example._fields if name != "audio"}
    # As raw bytes, samples are read 17 times faster than in the default encoding.
    audio = tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes")
    rate = tfds.features.Scalar(np.int32)
    return tfds.features.FeaturesDict({"audio": audio, "sample_rate": rate} | texts)


def index_file(directory: Path, split: str) -> Path:
    """Return a split's index: per line a JSON array of ``Row``'s fields, in order of records."""
    return directory / f"index-{split}.jsonl"


def left_out_file(directory: Path, split: str) -> Path:
    """Return the list of what was left out of a split: per line a JSON array, reason and where."""
    return directory / f"left_out-{split}.jsonl"


def notes_file(directory: Path, split: str) -> Path:
    """Return the list of notes on a split's examples: per line a JSON array, what and where."""
    return directory / f"noted-{split}.jsonl"


def digests_file(directory: Path) -> Path:
    """Return the file of digests: a JSON object of the SHA-256 of each other file, by name."""
    return directory / "sha256.json"


class PreparedCorpus:
    """A folder that ``prepare`` has written: its rows, and the audio of each.

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
        # They take a second, which --help should not wait for.
        import tensorflow_datasets as tfds
        from google.protobuf import json_format

        try:
            features = json.loads((self.directory / "features.json").read_bytes())
            # TFDS imports whatever module a description of features names.
            if features != json_format.MessageToDict(feature_types().to_proto()):
                raise ValueError("features.json is not what prepare writes")
            builder = tfds.builder_from_directory(self.directory)
            splits = builder.info.splits.values()
            shards = {split.name: [Path(path) for path in split.filepaths] for split in splits}
            self._records: Any = builder.as_data_source()
        except Exception as error:  # TFDS, protobuf and json each raise their own
            raise self._damaged(f"cannot read its description ({error})") from None
        for split in splits:
            files = shards[split.name]
            if any(os.path.split(file)[0] != str(self.directory) for file in files):
                raise self._damaged(f"split {split.name!r} names files outside of it")
            size = sum(file.stat().st_size for file in files if file.is_file())
            if size != split.num_bytes:
                raise self._damaged(
                    f"expected {int(split.num_bytes)} bytes of split {split.name!r}, found {size}"
                )
        self.splits: tuple[str, ...] = tuple(split.name for split in splits)
        self._files = {index_file(self.directory, split).name for split in self.splits}
        self._files |= {file.name for files in shards.values() for file in files}
        self._num_examples = {split.name: split.num_examples for split in splits}
        self._rows: dict[str, list[Row]] = {}
        self._lock = threading.Lock()

    def __reduce__(self):
        """Pickle only the folder's path: a copy in another process opens it anew."""
        return PreparedCorpus, (self.directory,)

    def rows(self, split: str) -> list[Row]:
        """Return all rows of a split; the list is read once and shared, so it must not be changed.

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

    def texts(self, split: str, labels: Sequence[str] = ()) -> Iterator[str]:
        """Yield every text of a split: what a tokenizer is trained on.

        ``labels`` are columns of labels that are texts as well, such as marked transcripts.
        """
        for row in self.rows(split):
            yield row.source_text
            yield row.target_text
            for column in labels:
                if text := row.labels.get(column):
                    yield text

    def audio(self, split: str, i: int) -> Int16[np.ndarray, " A"]:
        """Return the samples of row i, 16 kHz, read-only; empty if it is only text.

        Raises:
            UsageError: the record is damaged or belongs to another row.
        """
        row = self.rows(split)[i]
        try:
            record = self._records[split][i]
        except Exception as error:  # array_record and protobuf raise undocumented ones
            raise self._damaged(f"cannot read {row.id!r} of split {split!r} ({error})") from None
        actual = record["id"].decode(), len(record["audio"])
        if actual != (row.id, row.num_samples):
            raise self._damaged(
                f"expected row {i} of split {split!r} to be {row.id!r} with {row.num_samples}"
                f" samples, found {actual[0]!r} with {actual[1]}"
            )
        return record["audio"]

    def _read_index(self, split: str) -> list[Row]:
        path = index_file(self.directory, split)
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
        """Return what was left out of a split; empty if the folder has no such list."""
        return [LeftOut(*pair) for pair in self._pairs(left_out_file(self.directory, split))]

    def noted(self, split: str) -> list[Noted]:
        """Return the notes on a split's examples; empty if the folder has no such list."""
        return [Noted(*pair) for pair in self._pairs(notes_file(self.directory, split))]

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
            UsageError: a file is missing or has changed, or no digests were written.
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
                actual = sha256(self.directory / name)
            except OSError as error:
                raise self._damaged(f"cannot read {name} ({error.strerror})") from None
            if actual != digest:
                raise self._damaged(
                    f"expected {name} to have SHA-256 {digest[:12]}…, found {actual[:12]}…"
                )

    def _damaged(self, what: str) -> UsageError:
        what = " ".join(what.split())
        return UsageError(f"{self.directory}: damaged corpus: {what}; prepare it again")


def open_cached(folder: Path) -> PreparedCorpus:
    """Return a prepared folder, reusing the index that this process may have read before."""
    return _open_cached(folder, (folder / "dataset_info.json").stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _open_cached(folder: Path, changed: int) -> PreparedCorpus:
    return PreparedCorpus(folder)


def _texts(values: Any, count: int) -> list[str]:
    """Return a list of that many texts; anything else is a TypeError."""
    if not isinstance(values, list) or [*map(type, values)] != [str] * count:
        raise TypeError(f"expected {count} texts, found {values!r}")
    return values


def _row(line: bytes) -> Row:
    id, num_samples, *texts, labels = json.loads(line)
    if type(num_samples) is not int or num_samples < 0:
        raise TypeError(f"expected a number of samples, found {num_samples!r}")
    id, speaker, source, target, *rest = _texts([id, *texts], len(Row._fields) - 2)
    # Millions of rows share a few languages, corpora, speakers and labels, or have none.
    if labels == {}:
        labels = NO_LABELS
    elif type(labels) is dict and all(map(is_label, (*labels, *labels.values()))):
        labels = {sys.intern(column): sys.intern(label) for column, label in labels.items()}
    else:
        raise TypeError(f"expected labels, each one line of text, found {labels!r}")
    texts = sys.intern(speaker), source, target, *map(sys.intern, rest)
    return Row(id, num_samples, *texts, labels=labels)
