"""Scores of labels beside scikit-learn's and counts by hand; of symbols beside jiwer's."""

import random

import jiwer
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from taskaware.errors import UsageError
from taskaware.evaluation.metrics import accuracy, macro_f1, per, uar
from taskaware.evaluation.metrics.by_name import evaluated


def drawn(seed):
    """Labels of 4 classes, one of which is never answered and one never right."""
    rng = random.Random(seed)
    references = rng.choices(["neg", "pos", "neutral"], [8, 3, 1], k=60)
    hypotheses = [rng.choice([right, "neg", "pos", "other"]) for right in references]
    return hypotheses, references


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_labels_are_scikit_learns(seed):
    hypotheses, references = drawn(seed)
    expected = f1_score(references, hypotheses, average="macro", zero_division=0)
    assert macro_f1(hypotheses, references).value == pytest.approx(100 * expected)
    expected = accuracy_score(references, hypotheses)
    assert accuracy(hypotheses, references).value == pytest.approx(100 * expected)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(references, hypotheses)
    assert uar(hypotheses, references).value == pytest.approx(100 * expected)


def test_recall_of_two_classes_of_unequal_size():
    # 8 of 10 and 0 of 2.
    references = ["a"] * 10 + ["b"] * 2
    hypotheses = ["a"] * 8 + ["b"] * 2 + ["a"] * 2
    assert accuracy(hypotheses, references).value == pytest.approx(200 / 3)
    assert uar(hypotheses, references).value == pytest.approx(40)


def test_a_class_that_is_never_answered_counts_0_and_so_does_one_that_is_never_right():
    # F1 of a is 1, of b and c nothing.
    assert macro_f1(["a", "c"], ["a", "b"]).value == pytest.approx(100 / 3)
    assert macro_f1(["a", "a"], ["a", "b"]).value == pytest.approx(100 / 3)  # 2/3, 0
    assert macro_f1(["a", ""], ["a", "b"]).value == pytest.approx(50)  # no answer is no class


def test_an_intent_is_right_as_a_whole():
    assert accuracy(["on lights none"], ["on lights kitchen"]).value == 0


def test_case_counts_and_spaces_around_do_not():
    assert accuracy([" Anna ", "anna"], ["Anna", "Anna"]).value == 50
    assert accuracy(["U\u0308"], ["Ü"]).value == 100


@pytest.mark.parametrize("score", [accuracy, macro_f1, uar, per])
def test_lists_that_cannot_be_compared_are_refused(score):
    for hypotheses, references in ([], []), (["a"], ["a", "b"]), (["a", "b"], ["a", " "]):
        with pytest.raises(UsageError, match=r"expected one reference per|references are empty"):
            score(hypotheses, references)


def test_signatures_say_what_is_averaged():
    assert macro_f1(["a"], ["a"]).signature == (
        "unit:percent|average:macro|classes:references+outputs|case:kept|version:1"
    )
    assert "classes:references|" in uar(["a"], ["a"]).signature


# Symbols


def test_per_is_pooled_and_counts_stress():
    # 2 edits of 3 symbols, 0 of 5: 2/8, where the mean of the two rates is 1/3.
    hypotheses = ["K AH0 T S", "HH AH0 L OW1 Z"]
    references = ["K AE1 T", "HH AH0 L OW1 Z"]
    score = per(hypotheses, references)
    assert score.value == pytest.approx(25)
    assert score.signature == "unit:percent|case:kept|stress:kept|average:pooled|version:1"
    assert per(["K AE0 T"], ["K AE1 T"]).value == pytest.approx(100 / 3)


def test_per_takes_symbols_as_they_are_written():
    # Case tells SAMPA's symbols apart, @@ is one of British lexicons, punctuation is stress.
    hypotheses, references = ["s  @@ : 'a", ""], ["S @@ : a", "t"]
    assert per(hypotheses, references).value == pytest.approx(100 * 3 / 5)
    assert per(hypotheses, references).value == pytest.approx(
        100 * jiwer.wer(references, hypotheses)
    )


def test_an_empty_sequence_is_not_one_symbol():
    measured = evaluated("per", ["a", "b"], ["", "b"], "en")
    assert (measured.value, measured.left_out) == (0.0, 1)
