"""Augmented speech: the utterances of a prepared corpus, changed.

The paper trains on such copies beside the originals (§6.1.1). What is written are the copies alone,
to be named beside the original folder in ``Task.data``. An utterance ``ID`` becomes ``ID~1``,
``ID~2`` and so on, each with parameters of its own and the texts of the original. Examples without
audio are passed over.
"""

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from taskaware.data.audio import augment
from taskaware.data.corpora.base import (
    UTTERANCES_PER_SHARD,
    Example,
    PreparedCorpus,
    Splits,
    opened,
)
from taskaware.errors import UsageError

Range = tuple[float, float]
"""The lowest and the highest value of a uniform distribution; they may be the same."""

_BOUNDS = {
    "speed": (0.1, 10.0),
    "tempo": (0.1, 10.0),
    "echo_delay": (0.0, 10_000.0),
    "echo_decay": (0.0, 1.0),
    "snr": (-100.0, 100.0),
}
"""What lies beyond is taken for a mistake, such as percent or seconds."""


@dataclass(frozen=True)
class Augmented:
    """Changed copies of a prepared corpus' training speech, to be named beside it in a task's data.

    Every copy of every utterance has its own parameters, uniform in their ranges (the lowest value
    first; by default the paper's), which depend on the seed, the example's id and the copy's number
    and on nothing else. The speed is changed first, then the tempo, then the echo is added and then
    the noise.
    """

    folder: Path
    """Of taskaware prepare; it is only read."""
    copies: int = 3
    """Of each utterance. With the original, 3 make the paper's "MuST-C x 4"."""
    speed: Range = augment.SPEED
    """Factors by which duration and pitch change; 1 1 leaves them."""
    tempo: Range = augment.TEMPO
    """Factors by which the duration alone changes; 1 1 leaves it."""
    echo_delay: Range = augment.ECHO_DELAY
    """Milliseconds."""
    echo_decay: Range = augment.ECHO_DECAY
    """Gains of the echo; 0 0 for none."""
    snr: Range | None = None
    """Decibels by which speech is above white noise; None adds none."""
    seed: int = 0
    """Of all draws."""
    from_splits: tuple[str, ...] = ("train",)
    """Those of which copies are made; the others are passed over."""

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
        """Return what makes them; raises UsageError where a split has no speech, or is not there.

        Args:
            strict: unused, for a prepared corpus has nothing wrong with it, or cannot be opened.
        """
        corpus = PreparedCorpus(self.folder)
        a_shard = max(1, UTTERANCES_PER_SHARD // self.copies)
        shards = {}
        for split in self.from_splits:
            spoken = [i for i, row in enumerate(corpus.rows(split)) if row.num_samples]
            if not spoken:
                raise UsageError(
                    f"{self.folder}: expected speech in split {split!r}, found text alone"
                )
            parts = (spoken[i : i + a_shard] for i in range(0, len(spoken), a_shard))
            shards[split] = [functools.partial(_copies, self, split, p) for p in parts]
        return shards


def _copies(how: Augmented, split: str, indices: list[int]) -> Iterator[Example]:
    corpus = opened(how.folder)
    for index in indices:
        id, _, *rest = corpus.rows(split)[index]
        samples_A = corpus.audio(split, index)
        digest = int.from_bytes(hashlib.sha256(id.encode()).digest())
        for copy in range(1, how.copies + 1):
            rng = np.random.default_rng((how.seed, copy, digest))
            yield Example(f"{id}~{copy}", _changed(samples_A, how, rng), *rest)


def _changed(
    samples_A: Int16[np.ndarray, " A"], how: Augmented, rng: np.random.Generator
) -> Int16[np.ndarray, " changed"]:
    """Change speech by parameters drawn in the order in which they are applied."""
    ranges = (how.speed, how.tempo, how.echo_delay, how.echo_decay)
    factor, rate, delay, decay = (rng.uniform(*drawn) for drawn in ranges)
    changed = augment.tempo(augment.speed(samples_A, factor), rate)
    if decay:
        changed = augment.echo(changed, delay, decay)
    if how.snr is not None:
        changed = augment.add_noise(changed, rng.uniform(*how.snr), rng)
    return changed
