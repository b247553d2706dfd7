"""Scores of numbers: by hand, and mean absolute error beside scikit-learn's."""

import random

import pytest
from sklearn.metrics import mean_absolute_error

from taskaware.errors import UsageError
from taskaware.evaluation.metrics import ccc, mae
from taskaware.evaluation.metrics.by_name import evaluated


def test_concordance_by_hand():
    assert ccc(["1", "2", "3"], ["2", "3", "4"]).value == pytest.approx(4 / 7)
    assert ccc(["3", "2", "1"], ["1", "2", "3"]).value == pytest.approx(-1)
    assert ccc(["2", "2"], ["1", "3"]).value == 0
    assert ccc(["1", "3"], ["1", "3.0"]).value == pytest.approx(1)


@pytest.mark.parametrize("number", ["0", "0.1", "1e9"])
def test_equal_numbers_that_are_all_the_same_agree(number):
    assert ccc([number] * 3, [number] * 3).value == pytest.approx(1)
    assert ccc([number] * 3, ["7"] * 3).value == pytest.approx(0)


def test_absolute_error_is_scikit_learns_in_the_numbers_own_unit():
    rng = random.Random(0)
    right, answers = ([rng.gauss(0, 10) for _ in range(50)] for _ in range(2))
    score = mae([*map(str, answers)], [*map(str, right)])
    assert score.value == pytest.approx(mean_absolute_error(right, answers))
    assert score.signature == "unit:as-given|version:1"


@pytest.mark.parametrize("text", ["-1.5", " +1.5e0 ", "1.5", ".5", "1.", "1E-3"])
def test_decimal_numbers_are_read(text):
    assert mae([text], ["0"]).value == abs(float(text))


@pytest.mark.parametrize("text", ["", "nan", "inf", "1,5", "1_000", "0x1", "٣", "9" * 400, "1e999"])
@pytest.mark.parametrize("score", [mae, ccc])
def test_what_is_no_number_is_refused(score, text):
    with pytest.raises(UsageError, match=r"hypotheses: expected a decimal number, such as -1\.5"):
        score([text], ["1"])


def test_a_missing_number_is_left_out():
    measured = evaluated("mae", ["1", "2"], ["", "4"], "en")
    assert (measured.value, measured.left_out) == (2.0, 1)
