"""The language of the embedded corpus: which sentences there are, and how to sample them.

A pattern is a sequence of slots, each a list of alternatives, such as all subjects. Its sentences
are counted by multiplication and indexed like numbers in a mixed radix, so the language can be far
larger than memory and still be sampled without repetition.
"""

import math
import random
from functools import cache
from typing import Any, NamedTuple

from taskaware.data.toy.clauses import SHAPES, Clause, NounPhrase, Sentence, realize
from taskaware.data.toy.lexicon import (
    ACTIONS,
    ADJECTIVES,
    NOUNS,
    NUMERALS,
    PRONOUNS,
    REPORTS,
    TIMES,
    WHO,
    Verb,
    fits,
)
from taskaware.errors import UsageError

Slot = list[dict[str, Any]]
"""Alternatives for one part of a clause: each entry fills some of ``Clause``'s fields."""

_DEFINITE = tuple((word, plural) for word in ("the", "this", "my") for plural in (False, True))
_ANY = (*_DEFINITE, ("a", False), *((numeral, True) for numeral in NUMERALS))
_TENSE: Slot = [{"past": False}, {"past": True}]
_PAST: Slot = [{"past": True}]
_TIME: Slot = [{"past": time.past, "time": time} for time in TIMES]
_NOT: Slot = [{"negative": True}]
_PRONOUN: Slot = [{"subject": pronoun} for pronoun in PRONOUNS]
_WHO: Slot = [{"subject": WHO}]


class Pattern(NamedTuple):
    """All sentences of one structure: the slots of a main clause and perhaps a dependent one."""

    shape: str
    main: tuple[Slot, ...]
    dependent: tuple[Slot, ...] = ()

    @property
    def size(self) -> int:
        """The number of sentences."""
        return math.prod(len(slot) for slot in self.main + self.dependent)

    def sentence(self, index: int) -> Sentence:
        """Return sentence number ``index``, from 0 to ``size - 1``."""
        clauses = []
        for slots in (self.main, self.dependent):
            fields: dict[str, Any] = {}
            for slot in slots:
                index, choice = divmod(index, len(slot))
                fields |= slot[choice]
            clauses.append(Clause(**fields) if slots else None)
        return realize(self.shape, *clauses)


def sentences(count: int, seed: int) -> list[Sentence]:
    """Draw distinct English sentences with their translations, in equal parts of all shapes.

    Args:
        count: how many sentences; a shape with fewer than its part gives all it has.
        seed: the same seed and count give the same sentences in the same order.

    Returns:
        Sentences of 5 to 12 English words, shuffled.

    Raises:
        UsageError: the language has fewer sentences.
    """
    shapes = patterns()
    total = sum(pattern.size for group in shapes.values() for pattern in group)
    if not 0 <= count <= total:
        raise UsageError(
            f"sentences: expected a count from 0 to {total}, all the grammar has, found {count}; "
            "ask for fewer"
        )
    rng = random.Random(seed)
    drawn: list[Sentence] = []
    of_shape = _shares(count, [sum(p.size for p in group) for group in shapes.values()])
    for part, group in zip(of_shape, shapes.values(), strict=True):
        for share, pattern in zip(_shares(part, [p.size for p in group]), group, strict=True):
            indices = rng.sample(range(pattern.size), share)
            drawn += [pattern.sentence(index) for index in indices]
    rng.shuffle(drawn)
    return drawn


def _shares(count: int, sizes: list[int]) -> list[int]:
    """Split ``count`` as equally as the sizes allow, the smallest first."""
    shares = [0] * len(sizes)
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    for served, which in enumerate(by_size):
        shares[which] = min(sizes[which], count // (len(sizes) - served))
        count -= shares[which]
    return shares


def _phrases(kinds: str, determiners: tuple, described: bool) -> list[NounPhrase]:
    return [
        NounPhrase(determiner, noun, adjective, plural)
        for noun in NOUNS
        if fits(noun, kinds)
        for adjective in (ADJECTIVES if described else (None,))
        if adjective is None or fits(noun, adjective.kinds)
        for determiner, plural in determiners
        # "Meine Frau" is German for my wife.
        if determiner != "my" or not fits(noun, "man woman girl")
    ]


def _subjects(determiners: tuple = _ANY, described: bool = False) -> Slot:
    return [{"subject": phrase} for phrase in _phrases("person", determiners, described)]


def _objects(determiners: tuple = _ANY, described: bool = False) -> Slot:
    """Return verbs, each with its possible objects."""
    return [
        {"verb": verb, "object": phrase}
        for verb in ACTIONS
        for phrase in _phrases(verb.objects, determiners, described)
    ]


def _deeds(
    determiners: tuple = _ANY, described: bool = False, verbs: tuple[Verb, ...] = ACTIONS
) -> Slot:
    """Return verbs that take no object, each with its possible subjects."""
    return [
        {"subject": phrase, "verb": verb}
        for verb in verbs
        if not verb.objects
        for phrase in _phrases(verb.subjects, determiners, described)
    ]


def _adjuncts(kinds: str, described: bool = False) -> Slot:
    return [{"adjunct": phrase} for phrase in _phrases(kinds, _ANY, described)]


def _verbs(verbs: tuple[Verb, ...], transitive: bool = False) -> Slot:
    return [{"verb": verb} for verb in verbs if bool(verb.objects) == transitive]


@cache
def patterns() -> dict[str, list[Pattern]]:
    """Return the whole language by shape; no two patterns share a sentence."""
    # the_: definite phrases only; long_: with an adjective; joint: done in company.
    who, what, deed = _subjects(), _objects(), _deeds()
    the_who, the_what, the_deed = _subjects(_DEFINITE), _objects(_DEFINITE), _deeds(_DEFINITE)
    long_who, long_what, long_deed = _subjects(_ANY, True), _objects(_ANY, True), _deeds(_ANY, True)
    the_long_what = _objects(_DEFINITE, True)
    counted = (("how many", True),)
    where, friends = _adjuncts("place"), _adjuncts("person animal")
    long_where, long_friends = _adjuncts("place", True), _adjuncts("person animal", True)
    joint = tuple(verb for verb in ACTIONS if verb.english[0] not in ("sleep", "cry"))
    joint_deed, the_joint_deed = _deeds(verbs=joint), _deeds(_DEFINITE, verbs=joint)
    does, done = _verbs(ACTIONS), _verbs(ACTIONS, transitive=True)
    single = {
        "statement": [
            (who, what, _TENSE),
            (who, long_what, _TENSE),
            (who, what, _TIME),
            (who, what, where, _TENSE),
            (deed, long_where, _TENSE),
            (joint_deed, long_friends, _TENSE),
            (long_deed, _TIME),
            (_PRONOUN, long_what, _TENSE),
        ],
        "negation": [
            (the_who, the_what, _TENSE, _NOT),
            (_PRONOUN, the_long_what, _TENSE, _NOT),
            (the_deed, where, _TENSE, _NOT),
            (the_joint_deed, friends, _TENSE, _NOT),
        ],
        "inversion": [(who, what, _TIME), (deed, where, _TIME), (joint_deed, friends, _TIME)],
        "question": [
            (who, what, _TENSE),
            (long_who, what, _TENSE),
            (deed, where, _TENSE),
            (joint_deed, long_friends, _TENSE),
        ],
        "what": [(long_who, done, _TENSE), (who, done, _TIME)],
        "who": [
            (_WHO, the_long_what, _TENSE),
            (_WHO, the_what, _TIME),
            (_WHO, does, long_where, _TENSE),
            (_WHO, _verbs(joint), long_friends, _TENSE),
        ],
        "where": [(long_deed, _TENSE), (deed, _TENSE), (who, the_what, _TENSE)],
        "why": [(deed, _TENSE), (the_deed, _TENSE, _NOT), (who, the_what, _TENSE)],
        "how_many": [
            (_objects(counted), who, _TENSE),
            (_objects(counted, True), who, _TENSE),
        ],
    }
    now: Slot = [{"past": False}]
    reports = _verbs(REPORTS)
    double = {
        "because": [
            pair
            for tense in (now, _PAST)
            for pair in (
                ((the_deed, tense), (the_deed, tense)),
                ((_PRONOUN, does, tense, _NOT), (who, what, tense)),
                ((the_who, the_what, tense), (the_deed, tense, _NOT)),
            )
        ],
        "that": [
            ((the_who, reports, now), (deed, where, _TENSE)),
            ((the_who, reports, now), (who, what, _TENSE)),
            ((the_who, reports, now, _NOT), (deed, _TENSE)),
            ((the_who, reports, _PAST), (long_deed, _PAST)),
        ],
        "when": [
            ((the_who, what, _PAST), (deed, _PAST)),
            ((the_deed, _PAST), (who, what, _PAST)),
        ],
    }
    by_shape = {shape: [Pattern(shape, slots) for slots in rows] for shape, rows in single.items()}
    by_shape |= {shape: [Pattern(shape, *pair) for pair in rows] for shape, rows in double.items()}
    return {shape: by_shape[shape] for shape in SHAPES}
