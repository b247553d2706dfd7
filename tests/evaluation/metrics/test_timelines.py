"""Scores of segments: by hand, by brute force over milliseconds, and beside other libraries."""

import random
from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from taskaware.errors import UsageError
from taskaware.evaluation.metrics import der, frame_f1
from taskaware.evaluation.metrics.by_name import evaluated
from taskaware.files.segments import Segment, format_segments, parse_segments

HYPOTHESIS = "x 0 5, y 5 7, x 8 9.5"
REFERENCE = "A 0 4, B 4 7, A 8 10"


def drawn(rng, labels, end=3000):
    """Segments of each label, in milliseconds, as text."""
    segments = []
    for label in labels:
        cuts = sorted(rng.sample(range(end), 2 * rng.randint(1, 3)))
        for start, stop in zip(cuts[::2], cuts[1::2], strict=True):
            segments.append(Segment(label, start / 1000, stop / 1000))
    return format_segments(segments)


def active(text, labels, times):
    """Which labels (columns) hold at each of some milliseconds and a half."""
    table = np.zeros((len(times), len(labels)), bool)
    for label, start, end in parse_segments(text):
        inside = (times >= round(1000 * start)) & (times < round(1000 * end))
        table[inside, labels.index(label)] = True
    return table


# DER


def test_der_by_hand_with_and_without_collar():
    assert der([HYPOTHESIS], [REFERENCE]).value == pytest.approx(100 / 6)
    assert der([HYPOTHESIS], [REFERENCE], collar=0.25).value == pytest.approx(100 * 2 / 15)


def test_der_counts_overlap():
    # Miss 2, confusion 2, of 8 seconds.
    assert der(["x 0 6"], ["A 0 4, B 2 6"]).value == pytest.approx(50)


def test_der_of_speech_alone_is_miss_and_false_alarm():
    # Half a second missed, half a second too many, of 2 seconds.
    score = der(["speech 0.5 1.5, speech 1.75 2.25"], ["speech 0 1, speech 1 2"])
    assert score.value == pytest.approx(100 * (0.5 + 0.25 + 0.25) / 2)


def test_der_is_pooled_and_each_recording_has_its_own_mapping():
    assert der(["x 0 1, y 1 2", "y 0 1, x 1 2"], ["A 0 1, B 1 2"] * 2).value == 0
    assert der(["", "x 0 3"], ["A 0 1", "A 0 3"]).value == 25
    assert der(["x 0 9"], ["A 0 1"]).value == 800


def test_der_signature_says_collar_and_overlap():
    assert der([HYPOTHESIS], [REFERENCE]).signature == (
        "unit:percent|collar:0s-each-side|overlap:counted|mapping:one-to-one-per-recording|"
        "average:pooled|version:1"
    )
    signature = der([HYPOTHESIS], [REFERENCE], collar=0.25).signature
    assert "|collar:0.25s-each-side|" in signature
    assert der([HYPOTHESIS], [REFERENCE], collar=0.0004) == der([HYPOTHESIS], [REFERENCE])


@pytest.mark.parametrize("collar", [0, 120])
@pytest.mark.parametrize("seed", range(5))
def test_der_is_the_least_over_all_mappings_at_every_millisecond(seed, collar):
    rng = random.Random(seed)
    hypothesis, reference = drawn(rng, "xyz"), drawn(rng, "AB")
    times = np.arange(3000) + 0.5
    edges = [1000 * time for _, *both in parse_segments(reference) for time in both]
    scored = np.all([abs(times - edge) > collar for edge in edges], axis=0)
    answered, there = (
        active(hypothesis, "xyz", times)[scored],
        active(reference, "AB", times)[scored],
    )
    least = min(
        np.maximum(answered.sum(1), there.sum(1)).sum() - (answered[:, order] & there).sum()
        for order in map(list, permutations(range(3), 2))
    )
    expected = 100 * least / there.sum()
    assert der([hypothesis], [reference], collar / 1000).value == pytest.approx(expected)


@pytest.mark.peers
@pytest.mark.parametrize("collar", [0.0, 0.12])
@pytest.mark.parametrize("seed", range(5))
def test_der_is_that_of_pyannote_metrics_whose_collar_is_the_whole_width(seed, collar):
    pytest.importorskip("pyannote.metrics", reason="needs the extra peers")
    from pyannote.core import Annotation, Timeline
    from pyannote.core import Segment as Time
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(text):
        made = Annotation()
        for i, (label, start, end) in enumerate(parse_segments(text)):
            made[Time(start, end), i] = label
        return made

    rng = random.Random(seed)
    hypotheses, references = zip(
        *[(drawn(rng, "xyz"), drawn(rng, "AB")) for _ in range(3)], strict=True
    )
    peer = DiarizationErrorRate(collar=2 * collar)
    for pair in zip(references, hypotheses, strict=True):
        peer(*map(annotation, pair), uem=Timeline([Time(-1, 9)]))
    score = der(list(hypotheses), list(references), collar)
    assert score.value == pytest.approx(100 * abs(peer))


@pytest.mark.parametrize(
    ("collar", "names"),
    [
        (-0.1, "collar: expected seconds of at least 0, found -0.1"),
        (float("nan"), "found nan"),
        (2.0, "expected a collar that leaves time to score, found 2.0"),
    ],
)
def test_a_collar_that_leaves_nothing_is_refused(collar, names):
    with pytest.raises(UsageError, match=names):
        der(["A 0 4"], ["A 0 4"], collar)


# Frames


def test_frame_f1_by_hand():
    # 50 of 100 frames answered and 100 there.
    assert frame_f1(["speech 0 1"], ["speech 0.5 1.5"]).value == pytest.approx(50)
    assert frame_f1(["speech 0 1"], ["noise 0 1"]).value == 0
    assert frame_f1([""], ["noise 0 1"]).value == 0
    assert frame_f1(["speech 0 1, noise 0 1"], ["speech 0 1"]).value == pytest.approx(200 / 3)
    assert frame_f1(["speech 0 9"], ["speech 0 1"]).value == pytest.approx(20)  # to the later end


def test_less_than_half_a_frame_at_an_end_does_not_matter():
    assert frame_f1(["speech 0.004 1.004"], ["speech 0 1"]).value == 100


@pytest.mark.parametrize("seed", range(5))
def test_frame_f1_is_scikit_learns_micro_f1_of_sampled_centers(seed):
    rng = random.Random(seed)
    pairs = [(drawn(rng, "abx"), drawn(rng, "ab")) for _ in range(3)]
    centers = np.arange(300) * 10 + 5
    answered, there = (
        np.concatenate([active(text, "abx", centers) for text in side])
        for side in zip(*pairs, strict=True)
    )
    expected = 100 * f1_score(there, answered, average="micro")
    score = frame_f1(*map(list, zip(*pairs, strict=True)))
    assert score.value == pytest.approx(expected)
    assert score.signature == (
        "unit:percent|frames:10ms|average:micro|overlap:counted|none:100|version:1"
    )


def test_an_hour_is_scored_by_its_segments_not_by_its_frames():
    text = ", ".join(f"s{i % 4} {i} {i}.9" for i in range(3600))
    late = text.replace(".9", ".95")
    assert frame_f1([late], [text]).value == pytest.approx(100 * 2 * 90 / (90 + 95))
    assert der([late], [text]).value == pytest.approx(100 * 0.05 / 0.9)


@pytest.mark.parametrize("score", [frame_f1, der])
def test_text_that_is_no_segments_is_refused_with_its_side(score):
    with pytest.raises(UsageError, match=r": hypotheses: expected segments LABEL START END"):
        score(["speech"], ["speech 0 1"])
    with pytest.raises(UsageError, match=r": references: expected END after START"):
        score(["speech 0 1"], ["speech 1 1"])


@pytest.mark.parametrize("name", ["frame_f1", "der"])
def test_a_recording_without_reference_segments_is_left_out(name):
    measured = evaluated(name, ["a 0 1", "a 0 1"], ["", "a 0 1"], "en")
    assert measured.left_out == 1
    assert measured.value == {"frame_f1": 100, "der": 0}[name]
