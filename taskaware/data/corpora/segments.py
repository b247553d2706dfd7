"""From a line of a corpus' own tables to an example: the audio that it names is read."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from taskaware.data.audio.recording import TooShortError, read_audio
from taskaware.data.corpora.base import (
    NO_AUDIO,
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
    """FILE:LINE of what says so."""
    id: str
    """Distinct within its split."""
    audio: str
    """The file; empty where there is only text."""
    start: float
    """Seconds into the file."""
    duration: float | None
    """Seconds; None: to the end of the file."""
    speaker: str
    source_text: str
    target_text: str
    source_language: str
    target_language: str


Found = Mapping[str, Sequence[Segment | LeftOut | Unreadable]]
"""All that a corpus' tables list, by split."""


def as_splits(found: Found, corpus: str, *, strict: bool, resample: bool = False) -> Splits:
    """Return the shards that read what has been found.

    Args:
        found: the splits.
        corpus: its name, that of every example.
        strict: whether what is bad, or an id that stands twice, is an error at once.
        resample: whether audio of another rate than 16 kHz is converted instead of refused.

    Raises:
        UsageError: the first that is bad, and how many more there are, if strict.
    """
    checked = {split: [*_distinct(items)] for split, items in found.items()}
    bad = [item for items in checked.values() for item in items if isinstance(item, Unreadable)]
    if strict and bad:
        more = f" (and {len(bad) - 1} more: check, in place of prepare, lists them)"
        raise UsageError(bad[0].message + more * (len(bad) > 1))
    return {
        split: [functools.partial(_read, part, corpus, resample) for part in _parts(items)]
        for split, items in checked.items()
    }


def _distinct(
    items: Sequence[Segment | LeftOut | Unreadable],
) -> Iterator[Segment | LeftOut | Unreadable]:
    seen: set[str] = set()
    for item in items:
        if isinstance(item, Segment):
            if item.id in seen:
                yield Unreadable(
                    "id twice", f"{item.where}: id {item.id!r} stands twice in its split"
                )
                continue
            seen.add(item.id)
        yield item


def _parts(
    items: Sequence[Segment | LeftOut | Unreadable],
) -> Iterator[Sequence[Segment | LeftOut | Unreadable]]:
    spoken = any(isinstance(item, Segment) and item.audio for item in items)
    size = UTTERANCES_PER_SHARD if spoken else TEXTS_PER_SHARD
    return (items[first : first + size] for first in range(0, len(items), size))


def _read(
    items: Sequence[Segment | LeftOut | Unreadable], corpus: str, resample: bool
) -> Iterator[Item]:
    for item in items:
        if not isinstance(item, Segment):
            yield item
            continue
        where, id, audio, start, duration, *texts = item
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
        yield Example(id, samples, *texts, corpus=corpus)
