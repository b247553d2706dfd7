"""Scores of numbers: mean absolute error and concordance."""

import re
from collections.abc import Sequence

import numpy as np

from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Metric, Score, comparable
from taskaware.evaluation.metrics.normalizers import spaced

_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,30}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?")


def mae(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score numbers: mean absolute error, in their own unit.

    Args:
        hypotheses: what the model answered, one decimal number per example, as text.
        references: the right numbers, in the same order.

    Raises:
        UsageError: lists that cannot be compared line by line, or text that is not a number.

    Example:
        >>> mae(["1", "2.5"], ["2", "2"])
        Score(value=0.75, signature='unit:as-given|version:1')
    """
    return _mae(*comparable(MAE, hypotheses, references))


def ccc(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score numbers: the concordance correlation coefficient, from -1 to 1.

    CCC = 2 · covariance / (both variances + squared difference of the means), with N in the
    denominators. It is 1 only for equal numbers, also where these are all the same.

    Args:
        hypotheses: as for ``mae``.
        references: as for ``mae``.

    Raises:
        UsageError: as for ``mae``.

    Source:
        Lin 1989, "A concordance correlation coefficient to evaluate reproducibility".

    Example:
        >>> round(ccc(["1", "2", "3"], ["2", "3", "4"]).value, 3)
        0.571
    """
    return _ccc(*comparable(CCC, hypotheses, references))


def _mae(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    answers, right = _numbers("MAE", hypotheses, references)
    return Score(float(np.abs(answers - right).mean()), "unit:as-given|version:1")


def _ccc(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    answers, right = _numbers("CCC", hypotheses, references)
    covariance = ((answers - answers.mean()) * (right - right.mean())).mean()
    spread = answers.var() + right.var() + (answers.mean() - right.mean()) ** 2
    value = float(2 * covariance / spread) if spread else 1.0
    return Score(value, "unit:-1..1|variance:population|version:1")


def _numbers(title: str, hypotheses: list[str], references: list[str]) -> list[np.ndarray]:
    sides = {"hypotheses": hypotheses, "references": references}
    for side, texts in sides.items():
        for text in texts:
            if not _NUMBER.fullmatch(text):
                raise UsageError(
                    f"{title}: {side}: expected a decimal number, such as -1.5, found {text!r}"
                )
    return [np.array([*map(float, texts)]) for texts in sides.values()]


MAE = Metric("mae", "MAE", False, spaced, _mae)
CCC = Metric("ccc", "CCC", True, spaced, _ccc)
