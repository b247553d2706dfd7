"""Scores of tags and of marked slots: by hand, as seqeval and as s3prl define them."""

import random
from itertools import permutations

import pytest
from rapidfuzz.distance import Levenshtein

from taskaware.errors import UsageError
from taskaware.evaluation.metrics import slot_cer, slot_f1, span_f1
from taskaware.evaluation.metrics.by_name import evaluated

# Tags


@pytest.mark.parametrize(
    ("hypothesis", "reference", "score"),
    [
        ("B-a O", "B-a I-a", 0),  # a span is exact or wrong, half of its tags or not
        ("B-a I-a", "B-a I-a", 100),
        ("I-a I-a", "B-a I-a", 100),  # I begins a span where none is before it
        ("B-a I-b", "B-a B-b", 100),  # and where one of another kind is
        ("B-a I-a", "B-a B-a", 0),  # B ends the one before it
        ("O O", "B-a O", 0),
        ("B-a O", "O O", 0),
        ("O O", "O O", 100),
        ("B-a", "B-a O B-b", 200 / 3),  # tags that are missing are O
        ("B-a", "B-a I-a", 0),
        ("B-a O B-b", "B-a", 200 / 3),  # a span too many
        ("B-a I-a", "B-a", 0),  # runs into tags too many
        ("B-a O O O", "B-a", 100),
        ("", "B-a", 0),
        ("B-a <unk> B- b-a", "B-a O O O", 100),  # other words are O
        ("B-a-b I-a-b I-a", "B-a-b I-a-b B-a", 100),
    ],
)
def test_spans_are_counted_by_hand(hypothesis, reference, score):
    assert span_f1([hypothesis], [reference]).value == pytest.approx(score)


def test_span_counts_are_summed_over_sentences():
    # 1 of 1 answered and 1 there; 1 of 2 answered and 3 there: 2 · 2 / (3 + 4).
    hypotheses, references = ["B-a", "B-a O B-b"], ["B-a", "B-a B-a B-a"]
    score = span_f1(hypotheses, references)
    assert score.value == pytest.approx(400 / 7)
    assert score.signature == (
        "unit:percent|average:micro|spans:exact|tags:BIO,I-begins|none:100|version:1"
    )


def drawn(seed):
    rng = random.Random(seed)
    tags = "O B-a I-a B-b I-b".split()
    references = [rng.choices(tags, k=rng.randint(1, 9)) for _ in range(40)]
    hypotheses = [
        [tag if rng.random() < 0.7 else rng.choice(tags) for tag in row] for row in references
    ]
    return hypotheses, references


@pytest.mark.peers
@pytest.mark.parametrize("seed", range(5))
def test_span_f1_is_seqevals(seed):
    pytest.importorskip("seqeval", reason="needs the extra peers")
    from seqeval.metrics import f1_score

    hypotheses, references = drawn(seed)
    texts = ([" ".join(row) for row in rows] for rows in (hypotheses, references))
    assert span_f1(*texts).value == pytest.approx(100 * f1_score(references, hypotheses))


def test_a_reference_of_other_tags_is_refused_in_one_line():
    with pytest.raises(UsageError) as caught:
        span_f1(["O"], ["NOUN O"])
    assert str(caught.value) == (
        "span F1: references: expected tags O, B-NAME and I-NAME, found 'NOUN' in 'NOUN O'"
    )


# Slots

REFERENCES = [
    "PLAY B-artist MADONNA E-artist ON B-service SPOTIFY E-service",
    "B-object DUNE E-object B-rating FIVE E-rating",
]
HYPOTHESES = [
    "PLAY B-artist MADONA E-artist ON SPOTIFY",
    "B-object DUNE E-object B-best FIVE E-best",
]


def test_slots_of_two_utterances_by_hand():
    assert slot_f1(HYPOTHESES, REFERENCES).value == pytest.approx(100 * 7 / 12)  # 2/3 and 1/2
    # One letter of MADONNA; SPOTIFY and FIVE are missing.
    assert slot_cer(HYPOTHESES, REFERENCES).value == pytest.approx(100 * (1 + 7 + 0 + 4) / 22)


def test_slot_f1_compares_sets_of_names():
    assert slot_f1(["B-a x E-a B-a y E-a"], ["B-a z E-a"]).value == 100
    assert slot_f1(["play", "play", "B-a x E-a"], ["play", "B-a x E-a", "play"]).value == (
        pytest.approx(100 / 3)
    )


@pytest.mark.parametrize("value", ["a;b", "9:30", "a;b:c;", "E", "“so”", "B-side", "x,y"])
def test_a_value_is_compared_as_it_is_written(value):
    text = f"B-when {value} E-when"
    assert slot_cer([text], ["B-when abc E-when"]).value > 0
    if value != "B-side":  # which looks like a marker: refused below
        assert slot_cer([text], [text]).value == 0
        assert slot_cer(["B-when E-when"], [text]).value == 100


def test_case_and_spaces_inside_a_value_count():
    assert slot_cer(["B-a Xy z E-a"], ["B-a xyz E-a"]).value == pytest.approx(200 / 3)


def test_a_slot_too_many_costs_the_cer_nothing_and_one_answer_serves_once():
    reference = "B-a one E-a B-a one E-a"
    assert slot_cer(["B-a one E-a"], [reference]).value == 50
    assert slot_cer(["B-a one E-a B-b two E-b"], ["B-a one E-a"]).value == 0
    assert slot_cer(["B-a xxxxxx E-a"], ["B-a one E-a"]).value == 200


@pytest.mark.parametrize("seed", range(5))
def test_values_of_one_name_are_paired_with_fewest_edits(seed):
    rng = random.Random(seed)
    answers, values = (
        ["".join(rng.choices("abc", k=rng.randint(1, 4))) for _ in range(rng.randint(1, 4))]
        for _ in range(2)
    )
    width = max(len(answers), len(values))
    padded = answers + [None] * (width - len(answers))
    least = min(
        sum(
            len(value) if answer is None else Levenshtein.distance(answer, value)
            for answer, value in zip(order, values, strict=False)
        )
        for order in permutations(padded)
    )
    texts = [" ".join(f"B-n {one} E-n" for one in side) for side in (answers, values)]
    expected = 100 * least / sum(map(len, values))
    assert slot_cer([texts[0]], [texts[1]]).value == pytest.approx(expected)


@pytest.mark.parametrize("score", [slot_f1, slot_cer])
def test_a_badly_marked_output_counts_and_such_a_reference_is_refused(score):
    assert score(["B-a x B-b y"], ["B-a x E-a"]).value == {slot_f1: 0, slot_cer: 100}[score]
    for reference in "B-a x", "B-a x E-b", "B-when B-side E-when":
        with pytest.raises(UsageError, match=r"slot .*: references: expected each slot as B-NAME"):
            score(["x"], [reference])


def test_of_references_without_slots_only_the_cer_has_nothing_to_score():
    hypotheses, references = ["B-a x E-a", "B-a x E-a"], ["no slot", "B-a x E-a"]
    measured = evaluated("slot_cer", hypotheses, references, "en")
    assert (measured.value, measured.left_out) == (0.0, 1)
    measured = evaluated("slot_f1", hypotheses, references, "en")
    assert (measured.value, measured.left_out) == (50.0, 0)
