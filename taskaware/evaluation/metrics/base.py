"""What a metric is, and what a score says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from taskaware.config import MetricName

Output = TypeVar("Output")
"""What a task writes and a metric compares: a text; of other tasks a label, a number."""


class Score(NamedTuple):
    """A score and how it was computed; the two are stored and printed together."""

    value: float
    signature: str
    """BLEU: sacrebleu's own; WER and CER: the normalizer's name and version."""


@dataclass(frozen=True)
class Metric(Generic[Output]):
    """All that is known of a metric; nothing else asks for its name."""

    name: MetricName
    title: str
    """Its name in tables."""
    higher_is_better: bool
    normalize: Callable[[Output], Output]
    """Applied to both sides. A reference of which it leaves the empty text cannot be scored."""
    score: Callable[[list[Output], list[Output], str], Score]
    """(hypotheses, references, their language) → score, of what ``normalize`` left of both."""

    @property
    def gain(self) -> int:
        """What a point more is worth: 1, or -1 where less is better."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a run's outputs are worth in one metric, as it is stored."""

    value: float | None
    """None where no reference holds anything to score."""
    signature: str | None
    left_out: int = 0
    """Examples whose references hold nothing to score."""
