"""Scores of labels: accuracy, macro F1 and unweighted average recall.

A label is right if it is written as the reference is; case counts.
"""

from collections import Counter
from collections.abc import Sequence

from taskaware.evaluation.metrics.base import Metric, Score, comparable
from taskaware.evaluation.metrics.normalizers import spaced


def accuracy(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score labels: how many are right, in percent ("WA" of emotion recognition).

    A label of several parts, such as an intent's action, object and place, is right as a whole.

    Args:
        hypotheses: what the model answered, one label per example.
        references: the right labels, in the same order.

    Raises:
        UsageError: lists that cannot be compared line by line (empty, unequal or nested lists,
            empty references).

    Example:
        >>> accuracy(["on", "off", "on"], ["on", "off", "off"])
        Score(value=66.66666666666667, signature='unit:percent|case:kept|version:1')
    """
    return _accuracy(*comparable(ACCURACY, hypotheses, references))


def macro_f1(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score labels: the mean over classes of their F1, in percent.

    Classes are the labels of references and of outputs. One that was never answered, or that no
    reference has, counts 0.

    Args:
        hypotheses: as for ``accuracy``.
        references: as for ``accuracy``.

    Raises:
        UsageError: as for ``accuracy``.

    Example:
        >>> macro_f1(["a", "a", "b"], ["a", "b", "b"]).value
        66.66666666666667
    """
    return _macro_f1(*comparable(MACRO_F1, hypotheses, references))


def uar(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score labels: unweighted average recall, the mean over the references' classes, in percent.

    "UA" of emotion recognition, elsewhere "balanced accuracy".

    Args:
        hypotheses: as for ``accuracy``.
        references: as for ``accuracy``.

    Raises:
        UsageError: as for ``accuracy``.

    Example:
        >>> uar(["a", "a", "a"], ["a", "a", "b"]).value
        50.0
    """
    return _uar(*comparable(UAR, hypotheses, references))


def percent_f1(hits: int, answers: int, references: int) -> float:
    """Return F1 in percent; 100 where nothing was there and nothing was answered."""
    return 200.0 * hits / (answers + references) if answers + references else 100.0


def _accuracy(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    hits = sum(_hits(hypotheses, references).values())
    return Score(100.0 * hits / len(references), "unit:percent|case:kept|version:1")


def _macro_f1(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    hits, answers, right = _hits(hypotheses, references), Counter(hypotheses), Counter(references)
    answers.pop("", None)  # no answer is no class
    classes = sorted(answers | right)
    total = sum(percent_f1(hits[name], answers[name], right[name]) for name in classes)
    signature = "unit:percent|average:macro|classes:references+outputs|case:kept|version:1"
    return Score(total / len(classes), signature)


def _uar(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    hits, right = _hits(hypotheses, references), Counter(references)
    total = sum(100.0 * hits[name] / right[name] for name in sorted(right))
    signature = "unit:percent|average:macro|classes:references|case:kept|version:1"
    return Score(total / len(right), signature)


def _hits(hypotheses: list[str], references: list[str]) -> Counter[str]:
    """How often each class was answered where it is right."""
    pairs = zip(hypotheses, references, strict=True)
    return Counter(reference for answer, reference in pairs if answer == reference)


ACCURACY = Metric("accuracy", "accuracy", True, spaced, _accuracy)
MACRO_F1 = Metric("macro_f1", "macro F1", True, spaced, _macro_f1)
UAR = Metric("uar", "UAR", True, spaced, _uar)
