import re

import pytest

from taskaware.data.toy.grammar import sentences
from taskaware.data.toy.marks import mark, tags, unmarked


def test_a_marked_text_is_taken_apart_again():
    text = (
        f"did {mark('who', 'the old child')} see {mark('how_many', 'five')} {mark('what', 'keys')}"
    )
    assert text == "did B-who the old child E-who see B-how_many five E-how_many B-what keys E-what"
    assert unmarked(text) == "did the old child see five keys"
    assert tags(text) == "O B-who I-who I-who O B-how_many B-what"


def test_a_text_without_a_slot_has_no_marks():
    assert mark("", "who") == "who"
    assert tags("who sleeps") == "O O"


SENTENCES = sentences(600, 11)
SHOWN = {
    "How many small books are three children opening?": (
        "how many B-what small books E-what are B-how_many three E-how_many B-who children E-who"
        " opening"
    ),
    "When the woman closed ten windows, my farmer danced.": (
        "when B-who the woman E-who closed B-how_many ten E-how_many B-what windows E-what"
        " B-who my farmer E-who danced"
    ),
    "Last week five girls waited in this garden.": (
        "B-when last week E-when B-how_many five E-how_many B-who girls E-who waited"
        " B-where in this garden E-where"
    ),
    "Is the farmer dancing with seven happy neighbors?": (
        "is B-who the farmer E-who dancing B-with_whom with seven happy neighbors E-with_whom"
    ),
}


@pytest.mark.parametrize("english", SHOWN)
def test_phrases_are_marked(english):
    (sentence,) = (one for one in sentences(40, 0) if one.english == english)
    assert sentence.marked == SHOWN[english]


@pytest.mark.parametrize("shape", sorted({sentence.shape for sentence in SENTENCES}))
def test_the_marked_words_are_those_of_the_sentence(shape):
    for sentence in (one for one in SENTENCES if one.shape == shape):
        words = re.sub(r"[.,?]", "", sentence.english).split()
        assert [word.lower() for word in unmarked(sentence.marked).split()] == [
            word.lower() for word in words
        ]
        # Marks come in pairs, one slot at a time.
        marks = re.findall(r"\b([BE])-(\w+)", sentence.marked)
        assert [edge for edge, _ in marks] == ["B", "E"] * (len(marks) // 2)
        assert [name for _, name in marks[::2]] == [name for _, name in marks[1::2]]


def test_each_word_of_a_sentence_has_a_tag():
    for sentence in SENTENCES:
        assert len(tags(sentence.marked).split()) == len(sentence.english.split())


NUMERALS = {"three", "five", "seven", "ten"}
TIMES = {"now", "today", "yesterday", "week", "year"}


def test_tags_agree_with_the_words_that_only_one_slot_can_have():
    for sentence in SENTENCES:
        before = "O"
        words = re.sub(r"[.,?]", "", sentence.english.lower()).split()
        for word, tag in zip(words, tags(sentence.marked).split(), strict=True):
            if word in NUMERALS:
                # Of a place and of company the numeral is a part.
                assert tag in ("B-how_many", "I-where", "I-with_whom")
            if word in TIMES:
                assert tag.endswith("-when")
            if word == "in":
                assert tag == "B-where"
            if word in ("is", "are", "did", "because", "that", "not"):
                assert tag == "O"
            if tag.startswith("I-"):
                assert before[2:] == tag[2:]
            before = tag
