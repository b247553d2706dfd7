"""What is wrong with a corpus, told without writing it; and a written one in numbers."""

import collections
from collections.abc import Iterator
from typing import NamedTuple

from taskaware.data.audio.features import SAMPLE_RATE
from taskaware.data.corpora.base import (
    Corpus,
    Example,
    LeftOut,
    Noted,
    PreparedCorpus,
    Shard,
    Unreadable,
)
from taskaware.data.corpora.write import OnShard, in_processes

SHOWN = 20
"""Problems of a kind that are told one by one."""


class Findings(NamedTuple):
    """What reading a corpus found."""

    good: int
    """Examples that can be used."""
    left_out: collections.Counter[str]
    """By reason."""
    noted: collections.Counter[str]
    """Of those that can be used, by what is done to them."""
    bad: collections.Counter[str]
    """By kind."""
    messages: dict[str, list[str]]
    """Of each kind of what is bad the first SHOWN, each one line."""


def check(corpus: Corpus, *, workers: int = 1, on_shard: OnShard | None = None) -> Findings:
    """Read all of a corpus, its audio too.

    Args:
        corpus: what to read.
        workers: processes that read it.
        on_shard: told how far it is.

    Raises:
        UsageError: files are missing, or so broken that nothing after them can be read.
    """
    shards = [shard for shards in corpus.splits(strict=False).values() for shard in shards]
    all_found = _read(tuple)  # as if of an empty shard
    for i, found in enumerate(in_processes(_read, shards, workers), 1):
        all_found = _joined(all_found, found)
        if on_shard is not None:
            read = all_found.good + all_found.left_out.total() + all_found.bad.total()
            on_shard(read, i / len(shards))
    return all_found


def _read(shard: Shard) -> Findings:
    good = 0
    left_out, noted, bad = (collections.Counter[str]() for _ in range(3))
    messages: dict[str, list[str]] = {}
    for item in shard():
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


def _joined(a: Findings, b: Findings) -> Findings:
    kinds = {**a.messages, **b.messages}
    messages = {k: [*a.messages.get(k, ()), *b.messages.get(k, ())][:SHOWN] for k in kinds}
    left_out, noted, bad = a.left_out + b.left_out, a.noted + b.noted, a.bad + b.bad
    return Findings(a.good + b.good, left_out, noted, bad, messages)


class Summary(NamedTuple):
    """A split of a prepared corpus in numbers."""

    examples: int
    hours: float
    """Of speech."""
    longest: float
    """Seconds of the longest utterance."""
    words: int
    """Of source and target, separated by white space."""
    known_words: float
    """The share of them that the train split has too; 1.0 for train itself."""
    left_out: collections.Counter[str]
    """By reason."""
    noted: collections.Counter[str]
    """Of the examples, by what was done to them."""


def summarize(corpus: PreparedCorpus) -> Iterator[tuple[str, Summary]]:
    """Yield each split's name and its numbers: train, validation, test, then any others."""
    known: set[str] = set()
    usual = [split for split in ("train", "validation", "test") if split in corpus.splits]
    for split in dict.fromkeys([*usual, *sorted(corpus.splits)]):
        rows = corpus.rows(split)
        samples = [row.num_samples for row in rows]
        words = collections.Counter()
        for row in rows:
            words.update(row.source_text.split())
            words.update(row.target_text.split())
        if split == "train" or "train" not in corpus.splits:
            known.update(words)
        shared = sum(count for word, count in words.items() if word in known)
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
            ),
        )
