"""Scores of verification trials, such as "the same speaker?": EER and minDCF.

They compare scores and not a task's outputs, so no task names them as its metric. Both sort the
trials once: n log n, and memory for n.
"""

import numpy as np
from jaxtyping import Bool, Float

from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Score


def eer(score_B: Float[np.ndarray, " B"], target_B: Bool[np.ndarray, " B"]) -> Score:
    """Return the equal error rate of trials, in percent.

    The rate at which false acceptances and misses are equally frequent, on straight lines between
    the points of the ROC, one point per distinct score. Other definitions differ on few trials:
    the mean of both rates at the nearest threshold, or lines on the ROC's convex hull.

    Args:
        score_B: of each trial; higher means accept.
        target_B: whether the trial is to be accepted.

    Returns:
        EER: 0 for perfect separation, 50 if all scores are equal.

    Raises:
        UsageError: no trial of one of the two kinds, a score that is not finite, or not one True or
            False per score.

    Source:
        As in s3prl and SUPERB (Yang et al. 2021): the root of 1 - x - TPR(x).

    Example:
        >>> score_B = np.array([0.9, 0.8, 0.3, 0.7, 0.2, 0.1])
        >>> round(eer(score_B, np.array([True, True, True, False, False, False])).value, 2)
        33.33
    """
    accepted, missed, others, targets = _counts("EER", score_B, target_B)
    # False acceptances above misses, over a common denominator: integers, rising with each point.
    above = accepted * targets - missed * others
    i = int(np.argmax(above >= 0))
    share = above[i - 1] / (above[i - 1] - above[i])
    rate = (accepted[i - 1] + share * (accepted[i] - accepted[i - 1])) / others
    return Score(100.0 * float(rate), "unit:percent|roc:linear|version:1")


def min_dcf(score_B: Float[np.ndarray, " B"], target_B: Bool[np.ndarray, " B"], p: float) -> Score:
    """Return the least normalized detection cost of trials over all thresholds.

    min (p · miss rate + (1 - p) · false acceptance rate) / min(p, 1 - p); costs are 1.

    Args:
        score_B: as for ``eer``.
        target_B: as for ``eer``.
        p: probability of a target trial where the system is used, such as 0.01 or 0.05.

    Returns:
        minDCF, from 0 to 1, which accepting all or none would cost.

    Raises:
        UsageError: as for ``eer``, or p not between 0 and 1.

    Source:
        NIST speaker recognition evaluations.

    Example:
        >>> score_B = np.array([0.9, 0.6, 0.4, 0.8, 0.5, 0.1, 0.05])
        >>> min_dcf(score_B, np.arange(7) < 3, 0.5).value
        0.5
    """
    if not 0 < p < 1:
        raise UsageError(f"minDCF: p: expected a probability between 0 and 1, found {p}")
    accepted, missed, others, targets = _counts("minDCF", score_B, target_B)
    cost = p * missed / targets + (1 - p) * accepted / others
    signature = f"p:{p:g}|miss:1|false-acceptance:1|normalized:min(p,1-p)|version:1"
    return Score(float(cost.min()) / min(p, 1 - p), signature)


def _counts(
    title: str, score_B: Float[np.ndarray, " B"], target_B: Bool[np.ndarray, " B"]
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return false acceptances and misses from the highest threshold to the lowest, and totals.

    The first threshold accepts nothing; then comes one per distinct score.
    """
    score_B, target_B = np.asarray(score_B), np.asarray(target_B)
    if target_B.dtype != bool or score_B.shape != target_B.shape or score_B.ndim != 1:
        raise UsageError(
            f"{title}: expected one score and one True or False per trial, found "
            f"{score_B.shape} scores and {target_B.shape} of {target_B.dtype}"
        )
    targets = int(target_B.sum())
    others = len(target_B) - targets
    if not targets or not others or not np.isfinite(score_B).all():
        raise UsageError(
            f"{title}: expected finite scores of target and other trials, found {targets} target "
            f"and {others} other trials, {int((~np.isfinite(score_B)).sum())} scores not finite"
        )
    order_B = np.argsort(-score_B)
    last = np.append(np.diff(score_B[order_B]) != 0, True)  # equal scores are accepted together
    hits = np.append(0, np.cumsum(target_B[order_B])[last])
    taken = np.append(0, np.flatnonzero(last) + 1)
    return taken - hits, targets - hits, others, targets
