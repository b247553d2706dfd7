"""Scores of slots and entities: of tags per word, and of text in which slots are marked."""

import re
from collections.abc import Sequence

import numpy as np

from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Metric, Score, comparable
from taskaware.evaluation.metrics.labels import percent_f1
from taskaware.evaluation.metrics.normalizers import spaced
from taskaware.files.segments import marked_slots, markers, parse_slots

_TAG = re.compile(r"([BI])-(.+)")


def span_f1(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score BIO tags: F1 of the spans that are exact in kind, beginning and end, in percent.

    Counts are summed over all sentences (micro average). B-x begins a span of x; I-x goes on with
    it, or begins one where no span of x stands just before (as in conlleval, and in seqeval by
    default). An output of fewer tags than its reference has O in the rest; spans among tags too
    many are wrong, and so is one that runs into them. 100 where neither side has a span.

    Args:
        hypotheses: one string of tags per sentence, with spaces between; any other word is an O.
        references: the right tags, in the same order: O, B-NAME and I-NAME.

    Raises:
        UsageError: lists that cannot be compared line by line, or a reference with other words.

    Source:
        Tjong Kim Sang and De Meulder 2003 (conlleval).

    Example:
        >>> span_f1(["B-who O B-what I-what"], ["B-who O B-what O"]).value
        50.0
    """
    return _span_f1(*comparable(SPAN_F1, hypotheses, references))


def slot_f1(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score marked slots: the mean over utterances of the F1 of their sets of slot names.

    Values are not compared, nor how often a slot is there. An utterance without slots on either
    side counts 100.

    Args:
        hypotheses: what the model wrote, such as "B-who anna E-who sleeps"; badly marked slots
            are none.
        references: what it should have written, in the same order.

    Raises:
        UsageError: lists that cannot be compared line by line, or a reference that is marked badly
            (see ``files.segments.parse_slots``).

    Source:
        SUPERB (Yang et al. 2021), slot filling: "slot-type F1".

    Example:
        >>> slot_f1(["play B-artist madona E-artist"], ["play B-artist madonna E-artist"]).value
        100.0
    """
    return _slot_f1(*comparable(SLOT_F1, hypotheses, references))


def slot_cer(hypotheses: Sequence[str], references: Sequence[str]) -> Score:
    """Score marked slots: pooled character error rate of their values, in percent.

    Values of one name in one utterance are paired one to one with fewest edits. A slot that the
    output lacks costs its whole value, one too many costs nothing (``slot_f1`` sees it). Case,
    punctuation and spaces inside values count.

    Args:
        hypotheses: as for ``slot_f1``.
        references: as for ``slot_f1``, each with a slot: where there is none, there is no value.

    Raises:
        UsageError: as for ``slot_f1``.

    Source:
        SUPERB (Yang et al. 2021), slot filling: "slot-value CER". There several values of one slot
        may be paired with the same output.

    Example:
        >>> slot_cer(["play B-artist madona E-artist"], ["play B-artist madonna E-artist"]).value
        14.285714285714286
    """
    return _slot_cer(*comparable(SLOT_CER, hypotheses, references))


def _spans(tags: str) -> set[tuple[str, int, int]]:
    spans: set[tuple[str, int, int]] = set()
    name, start = None, 0
    for i, tag in enumerate([*tags.split(), "O"]):
        match = _TAG.fullmatch(tag)
        if match and match[1] == "I" and match[2] == name:
            continue
        if name is not None:
            spans.add((name, start, i))
        name, start = match and match[2], i
    return spans


def _span_f1(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    for tags in references:
        for tag in tags.split():
            if tag != "O" and not _TAG.fullmatch(tag):
                raise UsageError(
                    f"span F1: references: expected tags O, B-NAME and I-NAME, found {tag!r} in "
                    f"{tags!r}"
                )
    pairs = [*zip(map(_spans, hypotheses), map(_spans, references), strict=True)]
    hits, answers, right = (
        sum(map(len, spans))
        for spans in ([a & b for a, b in pairs], [a for a, _ in pairs], [b for _, b in pairs])
    )
    signature = "unit:percent|average:micro|spans:exact|tags:BIO,I-begins|none:100|version:1"
    return Score(percent_f1(hits, answers, right), signature)


def _slot_f1(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    total = 0.0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        answers = {slot.name for slot in marked_slots(hypothesis)}
        right = {slot.name for slot in parse_slots(reference, "slot F1: references")}
        total += percent_f1(len(answers & right), len(answers), len(right))
    signature = "unit:percent|average:utterances|slots:set of names|none:100|version:1"
    return Score(total / len(references), signature)


def _slot_cer(hypotheses: list[str], references: list[str], language: str = "") -> Score:
    edits = characters = 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        answers = marked_slots(hypothesis)
        right = parse_slots(reference, "slot CER: references")
        characters += sum(len(slot.value) for slot in right)
        for name in {slot.name for slot in right}:
            values = [slot.value for slot in right if slot.name == name]
            edits += _value_edits([slot.value for slot in answers if slot.name == name], values)
    signature = (
        "unit:percent|average:pooled|case:kept|punctuation:kept|pairs:one-to-one|missing:all|"
        "extra:0|version:1"
    )
    return Score(100.0 * edits / characters, signature)


def _value_edits(answers: list[str], values: list[str]) -> int:
    """Return the edits from answers to values, paired one to one at the least cost."""
    from rapidfuzz.distance import Levenshtein  # jiwer's own dependency
    from scipy.optimize import linear_sum_assignment

    # What a pair costs beyond leaving its value out.
    cost = np.array([[Levenshtein.distance(a, v) - len(v) for a in answers] for v in values])
    return sum(map(len, values)) + int(cost[linear_sum_assignment(cost)].sum())


def _with_slots(text: str) -> str:
    return spaced(text) if markers(text) else ""


SPAN_F1 = Metric("span_f1", "span F1", True, spaced, _span_f1)
SLOT_F1 = Metric("slot_f1", "slot F1", True, spaced, _slot_f1)
SLOT_CER = Metric("slot_cer", "slot CER", False, _with_slots, _slot_cer)
