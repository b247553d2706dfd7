"""Definition of a metric, and of a score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from taskaware.config import MetricName

Output = TypeVar("Output")
"""A task's output, as a metric compares it: a text; of other tasks a label or a number."""


class Score(NamedTuple):
    """A score and how it was computed; the two are stored and printed together."""

    value: float
    signature: str
    """BLEU: sacrebleu's own; WER and CER: the normalizer's name and version."""


@dataclass(frozen=True)
class Metric(Generic[Output]):
    """A metric; code outside the metrics room reads these fields and never compares names."""

    name: MetricName
    title: str
    """Its name in tables."""
    higher_is_better: bool
    normalize: Callable[[Output], Output]
    """Applied to both sides. A reference that it reduces to the empty text cannot be scored."""
    score: Callable[[list[Output], list[Output], str], Score]
    """(hypotheses, references, their language) → score, both after ``normalize``."""

    @property
    def gain(self) -> int:
        """The sign of an improvement: 1, or -1 where lower is better."""
        return 1 if self.higher_is_better else -1


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run's score in one metric, as it is stored."""

    value: float | None
    """None where no reference holds anything to score."""
    signature: str | None
    left_out: int = 0
    """Examples whose references hold nothing to score."""
