"""Expected outputs as arrays, and back as text."""

import dataclasses

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.config import Task
from taskaware.config.wiring import Inventory
from taskaware.data.corpora.base import Row
from taskaware.data.targets import Shape, blank_target, targets_of, without_target
from taskaware.data.tasks import tokens_of_task
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.dims import FrameLabels, Label, Number, Tags, Tokens
from taskaware.errors import UsageError
from taskaware.search.answers import as_text

SECOND = 16_000
KINDS = {
    "text": ("B-who anna E-who sleeps", "anna"),
    "label": ("ask", "do it"),
    "tags": ("O B-who", "B-who O"),
    "symbols": ("a b b a", "c"),
    "frames": ("noise 0 0.3, speech 0.11 0.5, noise 0.7 0.97", "speech 0.02 0.03"),
    "number": ("-3.5", "40"),
}
INVENTORIES = {
    "text": None,
    "label": Inventory(values=("ask", "do it", "say")),
    "tags": Inventory(values=("B-who", "O")),
    "symbols": Inventory(values=("a", "b", "c")),
    "frames": Inventory(values=("noise", "speech")),
    "number": Inventory(mean=3.0, deviation=4.0),
}
every = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "tokenizer.model"
    train_tokenizer(["B-who anna E-who sleeps", "unbelievable things"], 30, path)
    return Tokenizer.load(path)


def task(kind):
    source = "speech" if kind == "frames" else "text"
    return Task(
        name="t", source=source, target=kind, column="c", prefix="" if source != "text" else "tag"
    )


def row(label, words="unbelievable sleeps", seconds=1.0, id="x"):
    return Row(id, round(seconds * SECOND), "", words, "", "en", "", "c", {"c": label})


def made(kind, labels, tokenizer, **about):
    rows = [row(label, **about) for label in labels]
    starts = []
    if kind == "tags":
        starts = [tokens_of_task(one.source_text, task(kind), tokenizer)[1] for one in rows]
    return targets_of(task(kind), rows, starts, tokenizer, INVENTORIES[kind]), starts


def answers(target):
    """What a model would have to answer to be right, row by row."""
    match target:
        case Label():
            return target.label_B
        case Tags():
            return np.where(target.label_BS > 0, target.label_BS, 1)
        case FrameLabels():
            return target.holds_BAN
        case Number():
            return target.number_B
        case Tokens():
            return target.tokens_BT


SHAPE = Shape(frames=104, source=24, target=30)


@every
def test_text_comes_back_from_arrays_as_it_was(kind, tokenizer):
    found, starts = made(kind, KINDS[kind], tokenizer)
    right = answers(found.rows([1, 0, 1], SHAPE))
    frames = 98  # of a second: windows of 25 ms, 10 ms apart
    for place, index in enumerate([1, 0, 1]):
        about = {"starts": starts[index]} if starts else {"frames": frames}
        text = as_text(right[place], task(kind), tokenizer, INVENTORIES[kind], **about)
        assert text == KINDS[kind][index]


def test_tags_stand_at_the_first_token_of_each_word(tokenizer):
    target, (starts, _) = made("tags", KINDS["tags"], tokenizer)
    tokens, again = tokens_of_task("unbelievable sleeps", task("tags"), tokenizer)
    assert starts == again
    assert starts[1] - starts[0] > 1  # a word of several tokens
    assert tokenizer.decode(list(tokens)[: starts[0]]) == "tag"
    assert tokenizer.decode(list(tokens)[starts[0] : starts[1]]) == "unbelievable"
    label_S = target.rows([0], SHAPE).label_BS[0]
    assert np.flatnonzero(label_S).tolist() == starts
    assert label_S[starts].tolist() == [2, 1]


@pytest.mark.parametrize(
    ("kind", "label", "expected"),
    [
        ("label", "shout", 0),
        ("tags", "B-when O", [0, 2]),
        ("symbols", "a x b", [3, 2, 4, 1]),
        ("frames", "music 0 1, speech 0 0.02", 2),
    ],
)
def test_what_training_has_not_seen_is_not_judged_or_unknown(kind, label, expected, tokenizer):
    found, starts = made(kind, [label], tokenizer)
    target = found.rows([0], SHAPE)
    match target:
        case Label():
            assert target.label_B.tolist() == [expected]
        case Tags():
            assert target.label_BS[0][starts[0]].tolist() == expected
        case Tokens():
            assert target.tokens_BT[0][:4].tolist() == expected
            assert found.having(2) == [0]
        case FrameLabels():
            assert target.holds_BAN.sum() == expected


REFUSED = {
    "fewer tags than words": ("tags", "O", {}, "expected a tag for each of 2 words, found 1"),
    "more tags than words": ("tags", "O O O", {}, "expected a tag for each of 2 words, found 3"),
    "frames beyond the audio": ("frames", "speech 0.5 1.06", {}, "within the recording's 1 s"),
    "frames of another form": ("frames", "speech 0.5", {}, "expected segments LABEL START END"),
    "a word for a number": ("number", "old", {}, "expected a number, found 'old'"),
    "not a number": ("number", "nan", {}, "expected a number, found 'nan'"),
    "infinity": ("number", "-inf", {}, "expected a number, found '-inf'"),
}


@pytest.mark.parametrize(("kind", "label", "about", "message"), REFUSED.values(), ids=REFUSED)
def test_an_output_that_is_not_of_its_kind_is_one_line_with_its_place(
    kind, label, about, message, tokenizer
):
    with pytest.raises(UsageError) as error:
        made(kind, [KINDS[kind][0], label], tokenizer, **about)
    assert str(error.value).startswith("task 't': example 'x': column 'c': ")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_segments_may_end_a_rounding_behind_the_audio(tokenizer):
    found, _ = made("frames", ["speech 0.5 1.04"], tokenizer)
    target = found.rows([0], SHAPE)
    assert target.length_B.tolist() == [98]
    assert target.holds_BAN[0, :, 1].nonzero()[0].tolist() == [*range(50, 98)]


@every
@given(
    count=st.integers(1, 4),
    frames=st.integers(98, 120),
    source=st.integers(20, 30),
    target=st.integers(30, 40),
)
def test_blank_targets_have_the_shapes_and_dtypes_of_real_ones(
    kind, tokenizer, count, frames, source, target
):
    shape = Shape(frames, source, target)
    real = made(kind, KINDS[kind], tokenizer)[0].rows([0] * count, shape)
    blank = blank_target(task(kind), count, shape, INVENTORIES[kind])
    assert jax.tree.map(lambda x: (x.shape, x.dtype), blank) == jax.tree.map(
        lambda x: (x.shape, x.dtype), real
    )


@every
@given(st.integers(0, 2))
def test_a_target_that_is_taken_away_leaves_nothing_in_its_row_and_the_others_alone(
    kind, tokenizer, gone
):
    found = made(kind, KINDS[kind], tokenizer)[0]
    before, after = (found.rows([0, 1, 0], SHAPE) for _ in range(2))
    without_target(after, gone)
    assert type(after) is type(before)
    for row_, (a, b) in enumerate(zip(judged(before), judged(after), strict=True)):
        assert a
        assert b == (row_ != gone)
    kept = [n for n in range(3) if n != gone]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a[kept], b[kept])


def judged(target):
    match target:
        case Number():
            return ~np.isnan(target.number_B)
        case FrameLabels():
            return target.length_B > 0
        case _:
            return [bool(x.any()) for x in target[0]]


def test_lengths_are_one_each_but_for_tokens(tokenizer):
    for kind in ("label", "tags", "frames", "number"):
        assert made(kind, KINDS[kind], tokenizer)[0].length.tolist() == [1, 1]
    assert made("symbols", KINDS["symbols"], tokenizer)[0].length.tolist() == [5, 2]


def test_a_label_may_be_written_by_a_decoder(tokenizer):
    wanted = dataclasses.replace(task("label"), head="decoder")
    found = targets_of(wanted, [row("anna sleeps")], [], tokenizer, None).rows([0], SHAPE)
    assert as_text(found.tokens_BT[0], wanted, tokenizer, None) == "anna sleeps"
