"""Scores of segments in time: F1 of frames, and diarization error."""

from collections.abc import Callable, Sequence
from operator import attrgetter

import numpy as np

from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Metric, Score, comparable
from taskaware.evaluation.metrics.labels import percent_f1
from taskaware.evaluation.metrics.normalizers import spaced
from taskaware.files.segments import Segment, parse_segments

_Stretches = list[tuple[str, int, int]]
"""Labels, beginnings and ends, in frames or milliseconds."""


def frame_f1(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score segments: F1 of labelled frames of 10 ms, in percent.

    A frame has the labels of the segments that its center lies in. Counts are summed over labels
    and recordings (micro average), so a frame of two labels counts twice, and time without a label
    counts only where the other side has one there.

    Args:
        hypotheses: one string per recording, such as "speech 0.31 1.1, speech 1.52 2.04"; the
            empty string has no segment.
        references: the right segments, in the same order.

    Raises:
        UsageError: lists that cannot be compared line by line, or text that is no segments (see
            ``files.segments.parse_segments``).

    Example:
        >>> frame_f1(["speech 0 1"], ["speech 0.5 1.5"]).value
        50.0
    """
    return _frame_f1(*comparable(FRAME_F1, hypotheses, references))


def der(hypotheses: Sequence[str], references: Sequence[str], collar: float = 0.0) -> Score:
    """Score segments: detection or diarization error, in percent of the references' time.

    DER = 100 · (miss + false alarm + confusion) / reference time, each summed over recordings;
    where labels overlap, each counts. Labels of an output need not be those of its reference:
    in each recording they are mapped one to one with the most time in common. With one label on
    each side, such as speech, there is no confusion, and this is detection error.

    Args:
        hypotheses: as for ``frame_f1``.
        references: as for ``frame_f1``.
        collar: seconds, to the millisecond, that are not scored on *either* side of every beginning
            and end of the references' segments, as in md-eval and dscore; pyannote.metrics gives
            twice this number, the whole width.

    Returns:
        DER, above 100 with much false alarm.

    Raises:
        UsageError: as for ``frame_f1``, or a collar below 0 or that leaves no time to score.

    Source:
        NIST Rich Transcription evaluations (md-eval).

    Example:
        >>> der(["x 0 5, y 5 7, x 8 9.5"], ["A 0 4, B 4 7, A 8 10"]).value
        16.666666666666668
    """
    if not 0 <= collar < 1e9:
        raise UsageError(f"DER: collar: expected seconds of at least 0, found {collar}")
    return _der(*comparable(DER, hypotheses, references), collar=round(collar, 3))


def _frame_f1(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    hits = answers = right = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        sides = _sides("frame F1", hypothesis, reference, attrgetter("frames"))
        cuts = _cuts(*sides)
        length = np.diff(cuts)
        labels = sorted({label for side in sides for label, _, _ in side})
        answered, there = (_active(side, labels, cuts) for side in sides)
        hits += int(length @ (answered & there).sum(1))
        answers += int(length @ answered.sum(1))
        right += int(length @ there.sum(1))
    signature = "unit:percent|frames:10ms|average:micro|overlap:counted|none:100|version:1"
    return Score(percent_f1(hits, answers, right), signature)


def _der(
    hypotheses: list[str], references: list[str], language: str = "", collar: float = 0.0
) -> Score:
    errors = [
        _errors(*_sides("DER", *pair, attrgetter("milliseconds")), collar=round(1000 * collar))
        for pair in zip(hypotheses, references, strict=True)
    ]
    wrong, total = map(sum, zip(*errors, strict=True))
    if not total:
        raise UsageError(f"DER: expected a collar that leaves time to score, found {collar}")
    signature = (
        f"unit:percent|collar:{collar:g}s-each-side|overlap:counted|"
        "mapping:one-to-one-per-recording|average:pooled|version:1"
    )
    return Score(100.0 * wrong / total, signature)


def _errors(answered: _Stretches, there: _Stretches, collar: int) -> tuple[int, int]:
    """Return a recording's errors and its reference time, in milliseconds."""
    from scipy.optimize import linear_sum_assignment

    edges = [edge for _, start, end in there for edge in (start, end)]
    unscored = [("", edge - collar, edge + collar) for edge in edges]
    cuts = _cuts(answered, there, unscored)
    length = np.diff(cuts) * ~_active(unscored, [""], cuts)[:, 0]
    answer, right = (
        _active(side, sorted({label for label, _, _ in side}), cuts).astype(int)
        for side in (answered, there)
    )
    together = (answer * length[:, None]).T @ right
    mapped = together[linear_sum_assignment(-together)].sum()
    # Where n labels are answered and m are there, max(n, m) less those that agree are wrong.
    wrong = length @ np.maximum(answer.sum(1), right.sum(1)) - mapped
    return int(wrong), int(length @ right.sum(1))


def _sides(
    title: str, hypothesis: str, reference: str, time: Callable[[Segment], range]
) -> list[_Stretches]:
    sides = {"hypotheses": hypothesis, "references": reference}
    return [
        [(one.label, time(one).start, time(one).stop) for one in parse_segments(text, where)]
        for where, text in ((f"{title}: {side}", text) for side, text in sides.items())
    ]


def _cuts(*sides: _Stretches) -> np.ndarray:
    """Return every beginning and end, each once and in order."""
    return np.unique([edge for side in sides for _, start, end in side for edge in (start, end)])


def _active(side: _Stretches, labels: list[str], cuts: np.ndarray) -> np.ndarray:
    """Return which labels (columns) hold between each cut and the next (rows)."""
    change = np.zeros((len(cuts), len(labels)), int)
    for label, start, end in side:
        first, last = np.searchsorted(cuts, (start, end))
        change[first, labels.index(label)] += 1
        change[last, labels.index(label)] -= 1
    return change.cumsum(0)[:-1] > 0


FRAME_F1 = Metric("frame_f1", "frame F1", True, spaced, _frame_f1)
DER = Metric("der", "DER", False, spaced, _der)
