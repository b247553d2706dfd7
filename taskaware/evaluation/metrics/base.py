"""Definition of a metric, of a score, and of the lists that a metric compares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from taskaware.config import MetricName
from taskaware.errors import UsageError


class Score(NamedTuple):
    """A score and how it was computed; the two are stored and printed together."""

    value: float
    signature: str
    """BLEU: sacrebleu's own; WER and CER: the normalizer's name and version; of all others the
    unit and each choice that a number depends on, with the version of the definition."""


@dataclass(frozen=True)
class Metric:
    """A metric; code outside the metrics room reads these fields and never compares names.

    An output is text, whatever it stands for: a label, tags, symbols, segments, a number.
    """

    name: MetricName
    title: str
    """Its name in tables."""
    higher_is_better: bool
    normalize: Callable[[str], str]
    """Applied to both sides. A reference that it reduces to the empty text cannot be scored."""
    score: Callable[[list[str], list[str], str], Score]
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


def require_texts(name: str, texts: Any) -> None:
    """Refuse all but a list or tuple of strings; ``name`` says whose they are."""
    if not isinstance(texts, list | tuple):
        raise UsageError(f"{name}: expected a list of strings, found one {type(texts).__name__}")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(
                f"{name}: expected one string per segment, found a {type(text).__name__} at index "
                f"{i}"
            )


def comparable(metric: Metric, hypotheses: Any, references: Any) -> tuple[list[str], list[str]]:
    """Return both lists normalized, if they can be compared line by line.

    Raises:
        UsageError: empty, unequal or nested lists, or empty references.
    """
    for side, texts in (("hypotheses", hypotheses), ("references", references)):
        require_texts(f"{metric.title}: {side}", texts)
    if len(hypotheses) != len(references) or not references:
        raise UsageError(
            f"{metric.title}: expected one reference per hypothesis and at least one of each, "
            f"found {len(hypotheses)} hypotheses and {len(references)} references"
        )
    normalized = [metric.normalize(text) for text in references]
    empty = [i for i, text in enumerate(normalized) if not text]
    if empty:
        raise UsageError(
            f"{metric.title}: {len(empty)} of {len(references)} references are empty, the first at "
            f"index {empty[0]}: {references[empty[0]]!r}; leave those segments out on both sides"
        )
    return [metric.normalize(text) for text in hypotheses], normalized
