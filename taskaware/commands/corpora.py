"""Commands about corpora: prepare, check."""

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro

from taskaware.devices.machine import cpu_count
from taskaware.errors import UsageError, one_line, require_known

CORPORA = {
    "toy": ("toy", "Toy"),
    "manifest": ("manifest", "Manifest"),
    "parallel": ("parallel", "Parallel"),
    "folder": ("folder", "Folder"),
    "mustc": ("mustc", "MuSTC"),
    "iwslt": ("mustc", "IWSLT"),
    "tedlium": ("tedlium", "TEDLIUM"),
    "librispeech": ("librispeech", "LibriSpeech"),
    "common_voice": ("commonvoice", "CommonVoice"),
    "covost2": ("commonvoice", "CoVoST2"),
    "europarl_st": ("europarl_st", "EuroparlST"),
    "filtered": ("filtered", "Filtered"),
    "augmented": ("augmented", "Augmented"),
}
"""Module and class of each corpus; imported when it is asked for."""

_NAMES = f"{{{', '.join(CORPORA)}}}"


def prepare(
    corpus: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar=_NAMES)],
) -> None:
    """Prepare a corpus for training.

    Args:
        corpus: its name; taskaware prepare CORPUS --help lists its options.
    """
    require_known(corpus, CORPORA, "corpus")


def check(folder: tyro.conf.Positional[Path]) -> None:
    """Read every file of a prepared folder; or, as check CORPUS with its options, a raw corpus.

    Args:
        folder: of taskaware prepare; taskaware check CORPUS --help lists the options of a corpus.
    """
    from taskaware.data.corpora.base import PreparedCorpus

    if not (folder / "dataset_info.json").is_file():
        raise UsageError(
            f"{folder}: expected a folder of taskaware prepare, found no dataset_info.json in it; a"
            " corpus as it was unpacked is read by its name, as in: taskaware check mustc FOLDER"
        )
    corpus = PreparedCorpus(folder)
    corpus.verify()
    _tell(corpus)


def is_raw(name: str) -> bool:
    """Return whether a word names a corpus, and not a prepared folder of the same name."""
    return name in CORPORA and not Path(name, "dataset_info.json").is_file()


def corpus_command(command: str, name: str, argv: list[str]) -> None:
    """Run ``taskaware prepare NAME …`` or ``taskaware check NAME …``."""
    require_known(name, CORPORA, "corpus")
    module, kind = CORPORA[name]
    corpus = getattr(importlib.import_module(f"taskaware.data.corpora.{module}"), kind)
    first = dataclasses.fields(corpus)[0].name
    if argv and not argv[0].startswith("-"):  # the first option needs no name
        argv = [f"--{first}", *argv]
    make = _preparing if command == "prepare" else _checking
    tyro.cli(make(corpus), prog=f"taskaware {command} {name}", args=argv)


def _preparing(kind: Any) -> Callable[..., None]:
    def prepare(
        corpus: Annotated[kind, tyro.conf.arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
        out: Path,
        skip_bad: bool = False,
        workers: int | None = None,
        beam: tuple[str, ...] = (),
    ) -> None:
        from taskaware.data.corpora.write import prepare_corpus
        from taskaware.runs.console import shard_counter

        with shard_counter(f"preparing {corpus.name}") as tell:
            prepared = prepare_corpus(
                corpus,
                out,
                skip_bad=skip_bad,
                workers=cpu_count() if workers is None else workers,
                beam=[f"--{option}" for option in beam] if beam else None,
                on_shard=tell,
            )
        _tell(prepared, paper=getattr(corpus, "paper", ""))

    prepare.__doc__ = f"""{kind.__doc__}

    Args:
        corpus: what to read.
        out: the new folder.
        skip_bad: leave out what cannot be read, and count it, instead of stopping there.
        workers: processes that read and write; by default one per core.
        beam: prepare on Apache Beam with these pipeline options, such as runner=FlinkRunner
            flink_master=HOST:8081; out must lie where all its workers see it.
    """
    return prepare


def _checking(kind: Any) -> Callable[..., None]:
    def check(
        corpus: Annotated[kind, tyro.conf.arg(name="")],  # pyright: ignore[reportInvalidTypeForm]
        workers: int | None = None,
    ) -> None:
        from taskaware.data.corpora.summary import SHOWN
        from taskaware.data.corpora.summary import check as read
        from taskaware.runs.console import say, shard_counter

        with shard_counter(f"checking {corpus.name}") as tell:
            report = read(
                corpus, workers=cpu_count() if workers is None else workers, on_shard=tell
            )
        for kind, messages in report.messages.items():
            for message in messages:
                say(one_line(message))
            if report.bad[kind] > SHOWN:
                say(f"… and {report.bad[kind] - SHOWN:,} more of this kind ({kind})")
        for reason, count in report.left_out.most_common():
            say(f"{count:,} would be left out: {reason}")
        say(f"{report.good:,} examples can be used")
        for what, count in report.noted.most_common():
            say(f"{count:,} of them: {what}")
        if not report.good and not report.bad:
            raise UsageError(f"{corpus.name}: expected examples, found none")
        if report.bad:
            raise UsageError(
                f"{report.bad.total():,} examples cannot be read; mend them, or prepare with"
                " --skip-bad"
            )

    check.__doc__ = f"""Read all of a corpus, write nothing, and report what is wrong with it.

    {kind.__doc__}

    Args:
        corpus: what to read.
        workers: processes that read; by default one per core.
    """
    return check


def _tell(corpus: Any, paper: str = "") -> None:
    from taskaware.data.corpora.summary import summarize
    from taskaware.evaluation.tables import corpus_table
    from taskaware.runs.console import console, say

    summaries = [*summarize(corpus)]
    console.print(corpus_table(summaries))
    for split, summary in summaries:
        for what, count in summary.noted.most_common():
            say(f"{split}: {count:,} kept all the same: {what}")
        columns = (f"{column} {n:,} ({m:,})" for column, (n, m) in summary.labels.items())
        if summary.labels:
            say(f"{split}: labels (distinct): {', '.join(columns)}")
    if paper:
        say(f"the paper's train split of it: {paper}")
    print(f"{corpus.directory}: ready")
