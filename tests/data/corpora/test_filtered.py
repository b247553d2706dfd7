"""What is likely to be wrong in a corpus is found, and what is not is kept."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
from taskaware.data.corpora.base import NO_AUDIO, Example, Row
from taskaware.data.corpora.filtered import Filtered, looks_written, loops, speaks, text_reason
from taskaware.data.corpora.write import prepare, prepare_corpus

RATE = 16000
LONG_ENGLISH = "The committee has asked for a report about the state of the roads."
LONG_GERMAN = "Der Ausschuss hat um einen Bericht über den Zustand der Straßen gebeten."


def tone(level, seconds=1.0):
    """A sine whose root mean square is so many dB below full scale."""
    time = np.arange(round(seconds * RATE)) / RATE
    return np.rint(32768 * 10 ** (level / 20) * math.sqrt(2) * np.sin(2764.6 * time)).astype(
        np.int16
    )


def row(source, target=""):
    return Row("1", 0, "", source, target, "en", "de" if target else "", "c")


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.zeros(RATE, np.int16), False),
        (np.full(RATE, 3000, np.int16), False),  # an offset is no sound
        (tone(-53.0), False),
        (tone(-47.0), True),
        (tone(-20.0, seconds=0.05), False),
        (tone(-20.0, seconds=0.15), True),
        (np.concatenate([np.zeros(9 * RATE, np.int16), tone(-30.0, 0.2)]), True),
        (tone(-20.0, seconds=0.01), False),
        (NO_AUDIO, False),
    ],
)
def test_speech_is_a_tenth_of_a_second_above_the_threshold(samples, expected):
    assert speaks(samples) is expected


@given(st.lists(st.sampled_from(["no", "yes", "well"]), max_size=24))
def test_a_loop_is_four_times_the_same_words_in_a_row(words):
    def found():
        for width in range(1, 5):
            for first in range(len(words) - 4 * width + 1):
                parts = [words[first + k * width : first + (k + 1) * width] for k in range(4)]
                if parts[0] == parts[1] == parts[2] == parts[3]:
                    return True
        return False

    assert loops(" ".join(words)) is found()


def test_a_loop_in_a_long_text_is_found():
    words = [f"word{i}" for i in range(40)]
    assert not loops(" ".join(words))
    assert loops(" ".join([*words, "so", "so", "so", "so"]))
    assert loops(" ".join([*"one two three four".split() * 4, *words]))
    assert not loops(" ".join([*"one two three four".split() * 3, *words]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes, I am.", True),
        ("yes, i am", True),
        ("Yes I am", True),
        ("yes i am", False),
        ("YES, I AM", False),
        ("12 34", True),
    ],
)
def test_written_text_has_small_letters_and_more(text, expected):
    assert looks_written(text) is expected


MACHINE = Filtered(Path("unread"), machine=True)


def test_a_transcript_is_judged_by_the_rest_of_its_corpus():
    assert text_reason(row("yes i am"), MACHINE, written=True) is not None
    assert text_reason(row("yes i am"), MACHINE, written=False) is None
    assert text_reason(row("Yes, I am."), MACHINE, written=True) is None
    assert text_reason(row("Yes. " + "thank you " * 4), MACHINE, written=False) is not None
    assert text_reason(row("Yes.", "ja " * 4), MACHINE, written=False) is not None


def test_lengths_are_compared_where_they_say_something():
    rules = Filtered(Path("unread"), max_ratio=3.0)
    assert text_reason(row("a" * 10, "b" * 30), rules, written=True) is None
    assert text_reason(row("a" * 10, "b" * 31), rules, written=True) is not None
    assert text_reason(row("a" * 31, "b" * 10), rules, written=True) is not None
    assert text_reason(row("a", "b" * 19), rules, written=True) is None
    assert text_reason(row("a" * 99), rules, written=True) is None


def test_text_in_another_language_is_found():
    pytest.importorskip("py3langid", reason="needs the filter extra")
    rules = Filtered(Path("unread"), language=True)
    assert text_reason(row(LONG_ENGLISH, LONG_GERMAN), rules, written=True) is None
    for pair in ((LONG_GERMAN, LONG_GERMAN), (LONG_ENGLISH, LONG_ENGLISH), (LONG_GERMAN,)):
        assert text_reason(row(*pair), rules, written=True) == "text in another language"
    assert text_reason(row("Guten Tag", "Guten Tag"), rules, written=True) is None  # too short
    strange = Row("1", 0, "", LONG_ENGLISH, "", "xx", "", "c")
    with pytest.raises(UsageError, match="'xx': expected one that py3langid knows"):
        text_reason(strange, rules, written=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three good examples to train on, one silent one, one loop; and a silent one to test on."""

    def examples(split, *pairs):
        for i, (audio, text) in enumerate(pairs):
            yield Example(f"{split}{i}", audio, "anna", text, "", "en", "", "c")

    loud, silent = tone(-20.0), np.zeros(RATE, np.int16)
    splits = {
        "train": [
            lambda: examples(
                "a", (loud, "Yes."), (silent, "No."), (loud, "I, too. " + "thanks " * 4)
            ),
            lambda: examples("b", (loud, "Well?"), (NO_AUDIO, "Only text.")),
        ],
        "test": [lambda: examples("c", (silent, "Yes."))],
    }
    return prepare("c", lambda: splits, tmp_path_factory.mktemp("filtered") / "in").directory


def test_a_filtered_corpus_is_the_rest_and_says_what_it_lacks(folder, tmp_path):
    corpus = prepare_corpus(Filtered(folder, silence=True, machine=True), tmp_path / "out")
    assert [row.id for row in corpus.rows("train")] == ["a0", "b0", "b1"]
    assert corpus.left_out("train") == [
        ("silence", f"{folder}: a1"),
        ("words that go round and round", f"{folder}: a2"),
    ]
    np.testing.assert_array_equal(corpus.audio("train", 1), tone(-20.0))
    assert [row.id for row in corpus.rows("test")] == ["c0"]
    assert corpus.rows("train")[0][2:] == ("anna", "Yes.", "", "en", "", "c", {})


def test_other_splits_are_filtered_on_demand(folder, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'train'"):
        Filtered(folder, machine=True, from_splits=("trian",)).splits(strict=True)
    with pytest.raises(UsageError, match="expected examples in split 'test', found 0"):
        prepare_corpus(
            Filtered(folder, silence=True, from_splits=("train", "test")), tmp_path / "empty"
        )


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, "expected a rule"),
        ({"max_ratio": 1.0}, "more than 1"),
        ({"machine": True, "max_ratio": math.nan}, "more than 1"),
    ],
)
def test_rules_without_use_are_refused(folder, rules, expected):
    with pytest.raises(UsageError, match=expected):
        Filtered(folder, **rules).splits(strict=True)
