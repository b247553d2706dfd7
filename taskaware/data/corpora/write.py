"""Write a corpus to a folder: in this process, in several, or wherever Apache Beam runs.

A corpus is anything that returns ``Splits``. However they are written, each shard becomes one file
of records and one part of the split's index; the parts are joined at the end.
"""

import concurrent.futures
import contextlib
import functools
import glob
import json
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import tensorflow_datasets as tfds
from etils import epath
from tensorflow_datasets.core import example_serializer, file_adapters, writer
from tensorflow_datasets.core import splits as tfds_splits

from taskaware.data.audio.features import SAMPLE_RATE
from taskaware.data.corpora.base import (
    NO_LABELS,
    Corpus,
    Example,
    Item,
    LeftOut,
    Noted,
    PreparedCorpus,
    Row,
    Shard,
    Splits,
    Unreadable,
    digests_file,
    feature_types,
    index_file,
    is_label,
    left_out_file,
    notes_file,
)
from taskaware.errors import RunError, UsageError
from taskaware.files.digests import sha256
from taskaware.files.lock import sole_user

OnShard = Callable[[int, float], None]
"""Called after each shard with the number of examples read so far and the share of shards done."""

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")


def prepare(
    name: str,
    read: Callable[[], Splits],
    out: str | Path,
    *,
    on_shard: OnShard | None = None,
    skip_bad: bool = False,
    workers: int = 1,
    beam: Sequence[str] | None = None,
) -> PreparedCorpus:
    """Write a corpus to a folder, which appears only when it is complete.

    Args:
        name: the corpus' name, in lower case with underscores.
        read: returns the splits; called once the folder is known to be free and writable.
        out: the folder; it must not exist yet, or be empty.
        on_shard: called after each shard.
        skip_bad: whether what cannot be read is left out and counted instead of an error.
        workers: processes that read and write shards; with more than one, a script needs
            ``if __name__ == "__main__":``, like every program that starts processes.
        beam: options of an Apache Beam pipeline, such as ``["--runner=FlinkRunner", …]``, that
            reads and writes the shards instead; all of its workers must see ``out``.

    Raises:
        UsageError: the folder is taken or cannot be written, a split is empty or misnamed, or
            something cannot be read.
        RunError: writing failed, for instance because the disk is full.

    Whatever is raised, even by the reader, nothing of the folder is left behind.
    """
    out = Path(out).absolute()
    with claim(out):
        builder = _Builder(
            out, name, read, on_shard or (lambda examples, share: None), skip_bad, workers
        )
        config = None if beam is None else _beam(beam)
        try:
            with tempfile.TemporaryDirectory() as downloads:  # TFDS insists on it
                builder.download_and_prepare(download_dir=downloads, download_config=config)
        except (OSError, RuntimeError) as error:  # a dead worker is a RuntimeError too
            reason = " ".join(str(error).split())
            raise RunError(f"{out}: preparing failed, nothing was kept ({reason})") from error
        return PreparedCorpus(out)


def prepare_corpus(
    corpus: Corpus, out: str | Path, *, skip_bad: bool = False, **options: Any
) -> PreparedCorpus:
    """Write a corpus to a folder; ``options`` and errors as for ``prepare``."""
    read = functools.partial(corpus.splits, strict=not skip_bad)
    return prepare(corpus.name, read, out, skip_bad=skip_bad, **options)


@contextlib.contextmanager
def claim(out: Path) -> Iterator[None]:
    """Reserve the path of a new folder for this process before any work, as a context manager.

    Raises:
        UsageError: it exists, is in use or cannot be written.
    """
    with sole_user(out, out.with_name(f".{out.name}.lock")):
        try:
            if out.exists():
                if not out.is_dir() or any(out.iterdir()):
                    raise UsageError(
                        f"{out}: expected a new folder, found something there already; choose "
                        "another folder or delete this one"
                    )
                out.rmdir()
            # Left by a killed run; TFDS adds six random characters to the name.
            for stale in out.parent.glob(f"incomplete.??????_{glob.escape(out.name)}"):
                shutil.rmtree(stale)
        except OSError as error:
            raise UsageError(
                f"{out}: cannot write there ({error.strerror}); choose another"
            ) from None
        yield


def _beam(options: Sequence[str]) -> Any:
    try:
        from apache_beam.options import pipeline_options  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise UsageError('--beam needs apache-beam; pip install "taskaware[beam]"') from None
    parsed = pipeline_options.PipelineOptions([*options])
    runner = parsed.view_as(pipeline_options.StandardOptions).runner or "DirectRunner"
    return tfds.download.DownloadConfig(beam_runner=runner, beam_options=parsed)


class _Info(tfds.core.DatasetInfo):
    """The description of a dataset."""

    def initialize_from_bucket(self) -> None:
        """Skip TFDS's search on the network, which would leave a temporary folder behind."""


class _Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Writes the records of splits and, beside each, an index of its rows."""

    VERSION = tfds.core.Version("1.0.0")

    def __init__(
        self,
        out: Path,
        name: str,
        read: Callable[[], Splits],
        on_shard: OnShard,
        skip_bad: bool,
        workers: int,
    ):
        self.name = name  # pyright: ignore[reportAttributeAccessIssue]
        self._read, self._on_shard = read, on_shard
        self._skip_bad, self._workers = skip_bad, workers
        super().__init__(data_dir=out, file_format="array_record")

    def _build_data_dir(self, given_data_dir: str | None) -> tuple[str, str]:
        """Return the given folder itself, instead of name/version below it."""
        out = Path(given_data_dir or ".")
        return str(out.parent), str(out)

    def _info(self) -> tfds.core.DatasetInfo:
        return _Info(builder=self, features=feature_types())

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
        # data_path is a temporary folder for now, so the index appears together with all the rest.
        folder = Path(self.data_path)
        return {
            split: [
                _Records(folder, f"{split}.{i}", shard, self._skip_bad)
                for i, shard in enumerate(shards)
            ]
            for split, shards in splits.items()
        }

    def _download_and_prepare(self, dl_manager: Any, download_config: Any = None) -> None:
        if download_config is not None and download_config.beam_runner is not None:
            super()._download_and_prepare(dl_manager, download_config)
            for note in Path(self.data_path).glob("*.shard_infos.json"):  # TFDS has read them
                note.unlink()
        else:
            splits = self._shard_iterators_per_split(dl_manager)
            self.info.set_splits(tfds_splits.SplitDict(self._write(splits)))
        folder = Path(self.data_path)
        for split in self.info.splits.values():
            if not split.num_examples:
                raise UsageError(f"{self.name}: expected examples in split {split.name!r}, found 0")
            for kind in _KINDS:
                _join([kind(folder, f"{split.name}.{i}") for i in range(split.num_shards)])
        files = sorted(folder.iterdir())
        digests_file(folder).write_text(json.dumps({path.name: sha256(path) for path in files}))

    def _write(self, splits: Mapping[str, Sequence[Any]]) -> list[tfds.core.SplitInfo]:
        """Write all shards of all splits, and return descriptions of the splits."""
        templates = {split: self._get_filename_template(split_name=split) for split in splits}
        jobs = [
            (templates[split].sharded_filepath(shard_index=i, num_shards=len(shards)), shard)
            for split, shards in splits.items()
            for i, shard in enumerate(shards)
        ]
        owners = [split for split, shards in splits.items() for _ in shards]
        lengths: dict[str, list[int]] = {split: [] for split in splits}
        sizes, read = dict.fromkeys(splits, 0), 0
        done = in_processes(_write_shard, jobs, self._workers)
        for i, (split, (path, _), shard) in enumerate(zip(owners, jobs, done, strict=True), 1):
            lengths[split].append(shard.written)
            sizes[split] += path.stat().length
            read += shard.written + shard.left_out
            self._on_shard(read, i / len(jobs))
        return [
            tfds.core.SplitInfo(
                name=split,
                shard_lengths=lengths[split],
                num_bytes=sizes[split],
                filename_template=templates[split],
            )
            for split in splits
        ]

    def _log_download_bytes(self) -> None:
        """Print nothing: the command line shows its own progress."""

    def _log_download_done(self) -> None:
        """Print nothing, as above."""


_KINDS = (index_file, left_out_file, notes_file)
"""The files that are written beside a shard's records."""


class _Records(NamedTuple):
    """Passes a shard's examples to TFDS, and lists each of them, or why it is left out."""

    folder: Path
    part: str
    """SPLIT.NUMBER, for the names of its lists."""
    shard: Shard
    skip_bad: bool

    def __call__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        # Beam may read a shard twice, at the same time: each whole attempt replaces the other's.
        attempt = f"{os.getpid()}-{threading.get_ident()}"
        files = [kind(self.folder, self.part) for kind in _KINDS]
        attempts = [Path(f"{file}.{attempt}") for file in files]
        with (
            open(attempts[0], "w", encoding="utf-8") as rows,
            # A name that is not UTF-8 is escaped, as JSON does too.
            open(attempts[1], "w", encoding="utf-8", errors="backslashreplace") as gone,
            open(attempts[2], "w", encoding="utf-8", errors="backslashreplace") as notes,
        ):
            for item in map(checked, self.shard()):
                match item:
                    case Example():
                        row = Row(item.id, len(item.audio), *item[2:])
                        rows.write(json.dumps(row, ensure_ascii=False) + "\n")
                        labels = json.dumps(item.labels, ensure_ascii=False)
                        record = {**item._asdict(), "labels": labels, "sample_rate": SAMPLE_RATE}
                        yield item.id, record
                    case LeftOut():
                        gone.write(json.dumps(item, ensure_ascii=False) + "\n")
                    case Noted():
                        notes.write(json.dumps(item, ensure_ascii=False) + "\n")
                    case Unreadable(kind, message):
                        if not self.skip_bad:
                            raise UsageError(f"{message} (or leave such examples out: --skip-bad)")
                        gone.write(json.dumps([kind, message], ensure_ascii=False) + "\n")
        for whole, file in zip(attempts, files, strict=True):
            os.replace(whole, file)


def checked(item: Item) -> Item:
    """Return an item of a shard; an example with a bad label is ``Unreadable``.

    Labels that are empty are dropped: such an example is not labelled.
    """
    if not isinstance(item, Example) or item.labels is NO_LABELS:
        return item
    labels = {column: label for column, label in item.labels.items() if label != ""}
    for column, label in labels.items():
        for what, value in (("column", column), (f"label {column!r}", label)):
            if not is_label(value):
                return Unreadable(
                    "label",
                    f"{item.corpus}: {item.id!r}: {what}: expected one line of text without tabs,"
                    f" NUL and white space around it, found {value!r:.80}; mend the reader",
                )
    return item._replace(labels=labels)


class _Done(NamedTuple):
    """How many examples of a shard were written, and how many were left out."""

    written: int
    left_out: int


def _write_shard(job: tuple[epath.Path, _Records]) -> _Done:
    path, records = job
    features = feature_types()
    serializer = example_serializer.ExampleSerializer(
        features.get_serialized_info()  # pyright: ignore[reportArgumentType]
    )
    file = writer.ExampleWriter(file_adapters.FileFormat.ARRAY_RECORD)
    examples: Iterator[Any] = records()
    written = writer.ShardWriter(features, serializer, file).write(examples, path)
    with open(left_out_file(records.folder, records.part), "rb") as gone:
        return _Done(written, sum(1 for _ in gone))


def in_processes(
    do: Callable[[_Job], _Result], jobs: Sequence[_Job], workers: int
) -> Iterator[_Result]:
    """Yield the result of each job, in order; with one worker they run in this process.

    Worker processes end with this one, however it ends.
    """
    if workers < 1:
        raise UsageError(f"workers: expected at least one, found {workers}")
    if min(workers, len(jobs)) <= 1:
        yield from map(do, jobs)
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("spawn"), _leave_with_parent
    )
    try:
        yield from pool.map(do, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_with_parent() -> None:
    """End this process when the one that started it ends, however that happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and stops its workers
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _join(parts: Sequence[Path]) -> None:
    """Concatenate files NAME.0.jsonl, NAME.1.jsonl, … to NAME.jsonl."""
    whole = parts[0].with_name(parts[0].name.replace(".0.jsonl", ".jsonl"))
    with open(whole, "wb") as joined:
        for part in parts:
            with open(part, "rb") as lines:
                shutil.copyfileobj(lines, joined)
            part.unlink()
