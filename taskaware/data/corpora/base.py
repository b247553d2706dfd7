"""What every corpus is turned into: one TFDS format, written once, read by position.

A corpus is a function that returns ``Splits``; ``prepare`` writes them to a folder and
``PreparedCorpus`` reads that folder.
"""

import functools
import glob
import json
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow_datasets as tfds
from jaxtyping import Int16

from taskaware.data.features import SAMPLE_RATE
from taskaware.errors import RunError, UsageError, nearest

UTTERANCES_A_SHARD = 500
"""A shard is held in memory while it is written."""
TEXTS_A_SHARD = 50_000

NO_AUDIO = np.zeros(0, np.int16)


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


Shard = Callable[[], Iterable[Example]]
"""Reads some examples of a split."""
Splits = Mapping[str, Sequence[Shard]]


def prepare(
    name: str,
    read: Callable[[], Splits],
    out: str | Path,
    on_example: Callable[[int], None] | None = None,
) -> "PreparedCorpus":
    """Write a corpus to a folder, which appears when it is complete and not before.

    Args:
        name: of the corpus, in lower case with underscores.
        read: called once the folder has been found free and writable.
        out: the folder; it must not exist yet, or be empty.
        on_example: told after each example how many have been written.

    Raises:
        UsageError: the folder is taken or cannot be written, or a split is empty or misnamed.
        RunError: writing failed on the way, for instance because the disk is full.

    Whatever is raised, by the reader too, nothing of the folder is left behind.
    """
    out = Path(out).absolute()
    _claim(out)
    builder = _Builder(out, name, read, on_example or (lambda count: None))
    try:
        with tempfile.TemporaryDirectory() as downloads:  # TFDS insists on a place for them.
            builder.download_and_prepare(download_dir=downloads)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise RunError(f"{out}: preparing failed, nothing was kept ({reason})") from error
    return PreparedCorpus(out)


def _claim(out: Path) -> None:
    """Make sure that ``out`` is free and that its parent can be written, before any work."""
    try:
        if out.exists():
            if not out.is_dir() or any(out.iterdir()):
                raise UsageError(
                    f"{out}: expected a new folder, found something there already; choose another"
                    " folder or delete this one"
                )
            out.rmdir()
        out.parent.mkdir(parents=True, exist_ok=True)
        # What a killed run left; TFDS names it with six random characters.
        for stale in out.parent.glob(f"incomplete.??????_{glob.escape(out.name)}"):
            shutil.rmtree(stale)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as error:
        raise UsageError(f"{out}: cannot write there ({error.strerror}); choose another") from None


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


class _Info(tfds.core.DatasetInfo):
    """The description of a dataset."""

    def initialize_from_bucket(self) -> None:
        """Do not look for it on the network, and leave no temporary folder behind."""


class _Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Writes the splits and, beside each, an index of its rows."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self, out: Path, name: str, read: Callable[[], Splits], on_example: Callable[[int], None]
    ):
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]
        self._read, self._on_example, self._count = read, on_example, 0
        super().__init__(data_dir=out, file_format="array_record")

    def _build_data_dir(self, given_data_dir: str | None) -> tuple[str, str]:
        """Write to the given folder itself, not to name/version below it."""
        out = Path(given_data_dir or ".")
        return str(out.parent), str(out)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            # As raw bytes, samples are read 17 times faster than in the default encoding.
            "audio": tfds.features.Tensor(shape=(None,), dtype=np.int16, encoding="bytes"),
            "sample_rate": tfds.features.Scalar(np.int32),
        }
        texts = {name: tfds.features.Text() for name in Example._fields if name != "audio"}
        return _Info(builder=self, features=tfds.features.FeaturesDict(features | texts))

    def _shard_iterators_per_split(self, dl_manager: Any) -> Any:
        splits = self._read()
        if not splits:
            raise UsageError(f"{self.name}: expected examples, found none")
        for split in splits:
            if not re.fullmatch("[A-Za-z0-9_]+", split) or split == "all":
                raise UsageError(
                    f"{self.name}: expected splits named by letters, digits and underscores, other"
                    f" than 'all', found {split!r}"
                )
        return {
            split: [functools.partial(self._write, split, shard) for shard in shards]
            for split, shards in splits.items()
        }

    def _write(self, split: str, shard: Shard) -> Iterator[tuple[str, dict[str, Any]]]:
        """Hand a shard's examples to TFDS, and append a line to the index for each."""
        # data_path is a temporary folder meanwhile, so that the index appears with all the rest.
        with open(_index(Path(self.data_path), split), "a", encoding="utf-8") as index:
            for example in shard():
                row = Row(example.id, len(example.audio), *example[2:])
                index.write(json.dumps(row, ensure_ascii=False) + "\n")
                yield example.id, {**example._asdict(), "sample_rate": SAMPLE_RATE}
                self._count += 1
                self._on_example(self._count)

    def _download_and_prepare(self, *args: Any, **kwargs: Any) -> None:
        super()._download_and_prepare(*args, **kwargs)
        for split in self.info.splits.values():
            if not split.num_examples:
                raise UsageError(f"{self.name}: expected examples in split {split.name!r}, found 0")

    def _log_download_bytes(self) -> None:
        """Print nothing; the command line has its own progress."""

    def _log_download_done(self) -> None:
        """Print nothing."""


def _index(directory: Path, split: str) -> Path:
    """A JSON array a line, the fields of ``Row``, in the order of the records."""
    return directory / f"index-{split}.jsonl"


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
        try:
            builder = tfds.builder_from_directory(self.directory)
        except Exception as error:  # TFDS, protobuf and json each raise their own.
            raise self._damaged(f"cannot read its description ({error})") from None
        splits = builder.info.splits.values()
        for split in splits:
            files = [Path(path) for path in split.filepaths]
            size = sum(file.stat().st_size for file in files if file.is_file())
            if size != split.num_bytes:
                raise self._damaged(
                    f"expected {int(split.num_bytes)} bytes of split {split.name!r}, found {size}"
                )
        self.splits: tuple[str, ...] = tuple(split.name for split in splits)
        self._num_examples = {split.name: split.num_examples for split in splits}
        self._records: Any = builder.as_data_source()
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
        path = _index(self.directory, split)
        try:
            with open(path, "rb") as lines:
                rows = [_row(line) for line in lines]
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(f"cannot read {path.name} ({error})") from None
        if len(rows) != self._num_examples[split]:
            raise self._damaged(
                f"expected {self._num_examples[split]} rows in {path.name}, found {len(rows)}"
            )
        return rows

    def _damaged(self, what: str) -> UsageError:
        what = " ".join(what.split())
        return UsageError(f"{self.directory}: damaged corpus: {what}; prepare it again")


def _row(line: bytes) -> Row:
    id, num_samples, speaker, source, target, *rest = json.loads(line)
    # Millions of rows share a few languages, corpora and speakers.
    return Row(id, num_samples, sys.intern(speaker), source, target, *map(sys.intern, rest))
