"""Augmented speech: changed copies of the utterances of a prepared corpus.

The paper trains on such copies together with the originals (§6.1.1). Only the copies are written;
``Task.data`` then lists both folders. An utterance ``ID`` becomes ``ID~1``, ``ID~2`` and so on,
each with its own parameters and the texts and labels of the original; times in a label move with
the speech. Examples without audio are skipped.
"""

import functools
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from taskaware.data.audio import augment
from taskaware.data.corpora.base import (
    UTTERANCES_PER_SHARD,
    Example,
    PreparedCorpus,
    Row,
    Splits,
    open_cached,
)
from taskaware.errors import UsageError

Range = tuple[float, float]
"""The lowest and the highest value of a uniform distribution; they may be equal."""

_BOUNDS = {
    "speed": (0.1, 10.0),
    "tempo": (0.1, 10.0),
    "echo_delay": (0.0, 10_000.0),
    "echo_decay": (0.0, 1.0),
    "snr": (-100.0, 100.0),
}
"""Values outside are taken for mistakes, such as percent or seconds."""

_TIMES = re.compile(r"(?<= )(\d+(?:\.\d+)?) (\d+(?:\.\d+)?)(?=, |$)", re.ASCII)
"""Start and end of a segment, as in the label "speech 0.31 1.1, speech 1.52 2.04"."""
_TIMED = re.compile(rf"\S+ {_TIMES.pattern}(, \S+ {_TIMES.pattern})*", re.ASCII)


@dataclass(frozen=True)
class Augmented:
    """Changed copies of a prepared corpus' training speech, to list beside it in a task's data.

    Every copy of every utterance has its own parameters, uniform in their ranges (the lowest value
    first; by default the paper's). They depend only on the seed, the example's id and the copy's
    number. The speed is changed first, then the tempo, then the echo is added and then the noise.
    """

    folder: Path
    """A folder of taskaware prepare; it is only read."""
    copies: int = 3
    """Copies per utterance. With the original, 3 make the paper's "MuST-C x 4"."""
    speed: Range = augment.SPEED
    """Factors of speed: duration is divided, pitch multiplied; 1 1 changes nothing."""
    tempo: Range = augment.TEMPO
    """Factors of tempo: duration is divided; 1 1 changes nothing."""
    echo_delay: Range = augment.ECHO_DELAY
    """Delay of the echo, in milliseconds."""
    echo_decay: Range = augment.ECHO_DECAY
    """Gains of the echo; 0 0 for none."""
    snr: Range | None = None
    """Signal-to-noise ratio of white noise, in decibels; None adds no noise."""
    seed: int = 0
    """Seed of all random parameters."""
    from_splits: tuple[str, ...] = ("train",)
    """Splits to copy; the others are skipped."""

    name = "augmented"

    def __post_init__(self):
        """Raise UsageError on no copies, or a range that cannot be drawn from."""
        if self.copies < 1:
            raise UsageError(f"copies: expected 1 or more, found {self.copies}")
        if self.seed < 0:
            raise UsageError(f"seed: expected 0 or more, found {self.seed}")
        for name, (least, most) in _BOUNDS.items():
            drawn = getattr(self, name)
            # Written so that NaN fails.
            if drawn is not None and not least <= drawn[0] <= drawn[1] <= most:
                raise UsageError(
                    f"{name}: expected two numbers from {least:g} to {most:g}, the lower one"
                    f" first, found {drawn[0]:g} {drawn[1]:g}"
                )

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that make the copies; a split without speech is a UsageError.

        Args:
            strict: unused: a prepared corpus has no mistakes, or cannot be opened.
        """
        corpus = PreparedCorpus(self.folder)
        per_shard = max(1, UTTERANCES_PER_SHARD // self.copies)
        shards = {}
        for split in self.from_splits:
            spoken = [i for i, row in enumerate(corpus.rows(split)) if row.num_samples]
            if not spoken:
                raise UsageError(
                    f"{self.folder}: expected speech in split {split!r}, found text alone"
                )
            parts = (spoken[i : i + per_shard] for i in range(0, len(spoken), per_shard))
            timed = _timed(corpus.rows(split))
            shards[split] = [functools.partial(_copies, self, split, timed, p) for p in parts]
        return shards


def _timed(rows: Sequence[Row]) -> frozenset[str]:
    """Return the columns of labels all of which are segments with times."""
    labels = [pair for row in rows for pair in row.labels.items()]
    return frozenset(column for column, _ in labels) - frozenset(
        column for column, label in labels if not _TIMED.fullmatch(label)
    )


def _copies(
    how: Augmented, split: str, timed: frozenset[str], indices: list[int]
) -> Iterator[Example]:
    corpus = open_cached(how.folder)
    for index in indices:
        id, _, *rest, labels = corpus.rows(split)[index]
        samples_A = corpus.audio(split, index)
        digest = int.from_bytes(hashlib.sha256(id.encode()).digest())
        for copy in range(1, how.copies + 1):
            rng = np.random.default_rng((how.seed, copy, digest))
            changed, shorter = _changed(samples_A, how, rng)
            moved = {column: _moved(labels[column], shorter) for column in timed & labels.keys()}
            yield Example(f"{id}~{copy}", changed, *rest, labels={**labels, **moved})


def _moved(segments: str, shorter: float) -> str:
    return _TIMES.sub(
        lambda times: " ".join(str(round(float(time) / shorter, 3)) for time in times.groups()),
        segments,
    )


def _changed(
    samples_A: Int16[np.ndarray, " A"], how: Augmented, rng: np.random.Generator
) -> tuple[Int16[np.ndarray, " changed"], float]:
    """Return changed speech, and the factor by which its times are divided.

    The parameters are drawn in the order in which they are applied.
    """
    ranges = (how.speed, how.tempo, how.echo_delay, how.echo_decay)
    factor, rate, delay, decay = (rng.uniform(*drawn) for drawn in ranges)
    changed = augment.tempo(augment.speed(samples_A, factor), rate)
    if decay:
        changed = augment.echo(changed, delay, decay)
    if how.snr is not None:
        changed = augment.add_noise(changed, rng.uniform(*how.snr), rng)
    return changed, factor * rate
