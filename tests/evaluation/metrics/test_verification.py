"""EER and minDCF: by hand, and beside scikit-learn's ROC with scipy's root, as s3prl has it."""

import jaxtyping
import numpy as np
import pytest
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from taskaware.errors import UsageError
from taskaware.evaluation.metrics import eer, min_dcf


def trials(targets, others):
    score_B = np.array([*targets, *others], np.float64)
    return score_B, np.arange(len(score_B)) < len(targets)


FIRST = trials([0.9, 0.8, 0.3], [0.7, 0.2, 0.1])
SECOND = trials([0.9, 0.6, 0.4], [0.8, 0.5, 0.1, 0.05])


@pytest.mark.parametrize(
    ("some", "percent"),
    [
        (FIRST, 100 / 3),
        (SECOND, 100 / 3),  # 7/24 at the nearest threshold, 2/7 on the convex hull
        (trials([0.9, 0.8], [0.2, 0.1, 0.0]), 0),
        (trials([0.1], [0.9]), 100),
        (trials([0.5, 0.5], [0.5, 0.5, 0.5]), 50),
    ],
)
def test_eer_by_hand(some, percent):
    assert eer(*some).value == pytest.approx(percent)
    assert eer(*some).signature == "unit:percent|roc:linear|version:1"


@pytest.mark.parametrize(
    ("some", "p", "cost"),
    [
        (FIRST, 0.5, 1 / 3),
        (FIRST, 0.01, 1 / 3),
        (SECOND, 0.5, 1 / 2),
        (SECOND, 0.01, 2 / 3),
        (trials([0.9], [0.1]), 0.01, 0),
        (trials([0.1], [0.9]), 0.01, 1),  # accept nothing
        (trials([0.1], [0.9]), 0.99, 1),  # accept everything
    ],
)
def test_detection_cost_by_hand(some, p, cost):
    assert min_dcf(*some, p).value == pytest.approx(cost)
    assert min_dcf(*some, p).signature == (
        f"p:{p}|miss:1|false-acceptance:1|normalized:min(p,1-p)|version:1"
    )


def drawn(seed, count=400):
    rng = np.random.default_rng(seed)
    target_B = rng.random(count) < 0.3
    return np.round(rng.normal(size=count) + target_B, 1), target_B  # with many ties


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learns_roc(seed):
    score_B, target_B = drawn(seed)
    fpr, tpr, _ = roc_curve(target_B, score_B)
    root = brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0, xtol=1e-12)
    assert eer(score_B, target_B).value == pytest.approx(100 * root)
    for p in 0.01, 0.05, 0.5, 0.9:
        cost = (p * (1 - tpr) + (1 - p) * fpr).min() / min(p, 1 - p)
        assert min_dcf(score_B, target_B, p).value == pytest.approx(cost)


def test_the_order_of_trials_and_a_monotone_map_of_scores_do_not_matter():
    score_B, target_B = drawn(7)
    order_B = np.random.default_rng(0).permutation(len(score_B))
    assert eer(score_B[order_B], target_B[order_B]) == eer(score_B, target_B)
    assert eer(np.tanh(score_B), target_B) == eer(score_B, target_B)
    assert eer(-score_B, ~target_B).value == pytest.approx(eer(score_B, target_B).value)


def test_a_million_trials_need_no_matrix_of_pairs_and_thresholds():
    score_B, target_B = np.linspace(0, 1, 1_000_000), np.arange(1_000_000) % 2 == 0
    assert eer(score_B, target_B).value == pytest.approx(50, abs=0.01)


@pytest.mark.parametrize(
    ("some", "names"),
    [
        (trials([], [0.1]), "found 0 target and 1 other trials"),
        (trials([0.1], []), "found 1 target and 0 other trials"),
        (trials([0.1, np.nan], [np.inf]), "2 scores not finite"),
    ],
)
def test_trials_that_define_no_rate_are_refused(some, names):
    with pytest.raises(UsageError, match=f"EER: expected finite scores .*{names}"):
        eer(*some)
    with pytest.raises(UsageError, match="minDCF: expected finite scores"):
        min_dcf(*some, 0.5)


@pytest.mark.parametrize("target_B", [[True], [1, 0], [[True, False]]])
def test_trials_of_another_form_are_refused(monkeypatch, target_B):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert eer([0.9, 0.1], [True, False]).value == 0
    with pytest.raises(UsageError, match="EER: expected one score and one True or False per trial"):
        eer([0.9, 0.1], target_B)


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, float("nan")])
def test_a_prior_outside_0_and_1_is_refused(p):
    with pytest.raises(UsageError, match="p: expected a probability between 0 and 1"):
        min_dcf(*FIRST, p)
