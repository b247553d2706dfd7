"""Check a corpus without writing it, and summarize a prepared one in numbers."""

import collections
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from taskaware.data.audio.features import SAMPLE_RATE
from taskaware.data.corpora.base import (
    Corpus,
    Example,
    LeftOut,
    Noted,
    PreparedCorpus,
    Row,
    Shard,
    Unreadable,
)
from taskaware.data.corpora.write import OnShard, checked, in_processes

SHOWN = 20
"""Problems per kind that are listed individually."""


class Findings(NamedTuple):
    """The result of reading a whole corpus."""

    good: int
    """Examples that can be used."""
    left_out: collections.Counter[str]
    """Entries left out, by reason."""
    noted: collections.Counter[str]
    """Usable examples with a note, by note."""
    bad: collections.Counter[str]
    """Unreadable entries, by kind."""
    messages: dict[str, list[str]]
    """The first SHOWN messages on unreadable entries, each one line, by kind."""


def check(corpus: Corpus, *, workers: int = 1, on_shard: OnShard | None = None) -> Findings:
    """Read all of a corpus, audio included, without writing anything.

    Args:
        corpus: what to read.
        workers: processes that read it.
        on_shard: called after each shard.

    Raises:
        UsageError: files are missing, or so damaged that nothing after them can be read.
    """
    shards = [shard for shards in corpus.splits(strict=False).values() for shard in shards]
    total = _read(tuple)  # an empty shard
    for i, findings in enumerate(in_processes(_read, shards, workers), 1):
        total = _sum(total, findings)
        if on_shard is not None:
            read = total.good + total.left_out.total() + total.bad.total()
            on_shard(read, i / len(shards))
    return total


def _read(shard: Shard) -> Findings:
    good = 0
    left_out, noted, bad = (collections.Counter[str]() for _ in range(3))
    messages: dict[str, list[str]] = {}
    for item in map(checked, shard()):
        match item:
            case Example():
                good += 1
            case LeftOut(reason):
                left_out[reason] += 1
            case Noted(what):
                noted[what] += 1
            case Unreadable(kind, message):
                bad[kind] += 1
                messages.setdefault(kind, []).append(message)
    return Findings(good, left_out, noted, bad, messages)


def _sum(a: Findings, b: Findings) -> Findings:
    kinds = {**a.messages, **b.messages}
    messages = {k: [*a.messages.get(k, ()), *b.messages.get(k, ())][:SHOWN] for k in kinds}
    left_out, noted, bad = a.left_out + b.left_out, a.noted + b.noted, a.bad + b.bad
    return Findings(a.good + b.good, left_out, noted, bad, messages)


class Labels(NamedTuple):
    """A column of labels in numbers."""

    examples: int
    """Examples that have it."""
    distinct: int
    """Different values of it."""


class Summary(NamedTuple):
    """A split of a prepared corpus in numbers."""

    examples: int
    hours: float
    """Hours of speech."""
    longest: float
    """Seconds of the longest utterance."""
    words: int
    """Words of source and target texts, separated by white space."""
    known_words: float
    """The share of these words that the train split has too; 1.0 for train itself."""
    left_out: collections.Counter[str]
    """What was left out, by reason."""
    noted: collections.Counter[str]
    """Examples with a note, by note."""
    labels: dict[str, Labels]
    """By column of labels, sorted."""


def summarize(corpus: PreparedCorpus) -> Iterator[tuple[str, Summary]]:
    """Yield the name and summary of each split: train, validation, test, then any others."""
    vocabulary: set[str] = set()
    usual = [split for split in ("train", "validation", "test") if split in corpus.splits]
    for split in dict.fromkeys([*usual, *sorted(corpus.splits)]):
        rows = corpus.rows(split)
        samples = [row.num_samples for row in rows]
        words = collections.Counter()
        for row in rows:
            words.update(row.source_text.split())
            words.update(row.target_text.split())
        if split == "train" or "train" not in corpus.splits:
            vocabulary.update(words)
        shared = sum(count for word, count in words.items() if word in vocabulary)
        reasons = collections.Counter(item.reason for item in corpus.left_out(split))
        yield (
            split,
            Summary(
                examples=len(rows),
                hours=sum(samples) / SAMPLE_RATE / 3600,
                longest=max(samples) / SAMPLE_RATE,
                words=words.total(),
                known_words=shared / max(1, words.total()),
                left_out=reasons,
                noted=collections.Counter(item.what for item in corpus.noted(split)),
                labels=_labels(rows),
            ),
        )


def _labels(rows: Sequence[Row]) -> dict[str, Labels]:
    values: dict[str, collections.Counter[str]] = {}
    for row in rows:
        for column, label in row.labels.items():
            values.setdefault(column, collections.Counter())[label] += 1
    return {column: Labels(some.total(), len(some)) for column, some in sorted(values.items())}
