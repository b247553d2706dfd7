"""Read the audio that a corpus' tables name: from an entry of a table to an example."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from taskaware.data.audio.recording import TooShortError, read_audio
from taskaware.data.corpora.base import (
    NO_AUDIO,
    NO_LABELS,
    TEXTS_PER_SHARD,
    UTTERANCES_PER_SHARD,
    Example,
    Item,
    LeftOut,
    Noted,
    Splits,
    Unreadable,
)
from taskaware.errors import UsageError


class Segment(NamedTuple):
    """An example whose audio has not been read."""

    where: str
    """FILE:LINE of its entry."""
    id: str
    """Unique within its split."""
    audio: str
    """Path of the file; empty if there is only text."""
    start: float
    """Seconds into the file."""
    duration: float | None
    """Seconds; None: to the end of the file."""
    speaker: str
    source_text: str
    target_text: str
    source_language: str
    target_language: str
    labels: Mapping[str, str] = NO_LABELS


Entry = Segment | LeftOut | Unreadable
"""What one line of a corpus' tables stands for."""


def as_splits(
    entries: Mapping[str, Sequence[Entry]], corpus: str, *, strict: bool, resample: bool = False
) -> Splits:
    """Return shards that read the audio of a corpus' entries.

    Args:
        entries: all that the corpus' tables list, by split.
        corpus: its name, which every example gets.
        strict: whether an unreadable entry, or an id that occurs twice, is an error at once.
        resample: whether audio of another rate than 16 kHz is converted instead of refused.

    Raises:
        UsageError: the first such entry, and how many more there are, if strict.
    """
    distinct = {split: [*_distinct(some)] for split, some in entries.items()}
    unreadable = [one for some in distinct.values() for one in some if isinstance(one, Unreadable)]
    if strict and unreadable:
        more = f" (and {len(unreadable) - 1} more: check, in place of prepare, lists them)"
        raise UsageError(unreadable[0].message + more * (len(unreadable) > 1))
    return {
        split: [functools.partial(_read, part, corpus, resample) for part in _parts(some)]
        for split, some in distinct.items()
    }


def _distinct(entries: Sequence[Entry]) -> Iterator[Entry]:
    ids: set[str] = set()
    for entry in entries:
        if isinstance(entry, Segment):
            if entry.id in ids:
                yield Unreadable(
                    "id twice", f"{entry.where}: id {entry.id!r} stands twice in its split"
                )
                continue
            ids.add(entry.id)
        yield entry


def _parts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    spoken = any(isinstance(entry, Segment) and entry.audio for entry in entries)
    size = UTTERANCES_PER_SHARD if spoken else TEXTS_PER_SHARD
    return (entries[first : first + size] for first in range(0, len(entries), size))


def _read(entries: Sequence[Entry], corpus: str, resample: bool) -> Iterator[Item]:
    for entry in entries:
        if not isinstance(entry, Segment):
            yield entry
            continue
        where, id, audio, start, duration, *texts, labels = entry
        samples = NO_AUDIO
        if audio:
            try:
                samples, notes = read_audio(audio, start, duration, resample=resample)
            except TooShortError:
                yield LeftOut("audio shorter than one frame", where)
                continue
            except UsageError as error:
                yield Unreadable("audio", f"{where}: {error}")
                continue
            yield from (Noted(note, where) for note in notes)
        yield Example(id, samples, *texts, corpus=corpus, labels=labels)
