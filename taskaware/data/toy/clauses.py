"""English sentences with their German, Romanian and Turkish translations.

A sentence is one clause, or two; a clause is a subject, a verb and their complements, each
described once and realized in every language by the rules of that language: case and agreement,
German verb order, Romanian articles, Turkish suffixes. ``realize`` writes a sentence from its
clauses.
"""

from typing import NamedTuple

from taskaware.data.toy import lexicon as lex
from taskaware.data.toy.marks import mark, unmarked

SHAPES = (
    "statement",
    "negation",
    "inversion",  # the time comes first: "Today the teacher is opening the door."
    "question",
    "what",
    "who",
    "where",
    "why",
    "how_many",
    "because",
    "that",
    "when",
)
_WH = {
    "what": ("what", "was", "ce"),
    "where": ("where", "wo", "unde"),
    "why": ("why", "warum", "de ce"),
}
_TURKISH_WH = {"what": "ne", "where": "nerede", "who": "kim"}


class Sentence(NamedTuple):
    """One sentence in four languages."""

    english: str
    german: str
    romanian: str
    turkish: str
    shape: str
    """One of ``SHAPES``."""
    marked: str
    """The English words, each phrase between the marks of its slot, without punctuation."""


class NounPhrase(NamedTuple):
    """A determiner (the, a, this, my, a numeral or "how many"), perhaps an adjective, a noun."""

    determiner: str
    noun: lex.Noun
    adjective: lex.Adjective | None = None
    plural: bool = False


class Clause(NamedTuple):
    """Who does what; the adjunct is a place (in ...) or company (with ...)."""

    subject: NounPhrase | lex.Pronoun
    verb: lex.Verb
    past: bool = False
    negative: bool = False
    object: NounPhrase | None = None
    adjunct: NounPhrase | None = None
    time: lex.Adverb | None = None


def realize(shape: str, clause: Clause, dependent: Clause | None = None) -> Sentence:
    """Return a sentence in all four languages.

    Args:
        shape: one of ``SHAPES``. "inversion" needs a time, "how_many" an object whose determiner
            is "how many", "who" the subject ``lexicon.WHO``.
        clause: the main clause.
        dependent: the clause after "because" or "that", or the one of "when", which comes first.
    """
    asks = shape in ("question", "what", "who", "where", "why", "how_many")
    end = "?" if asks else "."
    marked = _english(shape, clause, dependent)
    english, german, romanian, turkish = (
        text[0].upper() + text[1:] + end
        for text in (
            unmarked(marked),
            _german(shape, clause, dependent),
            _romanian(shape, clause, dependent),
            _turkish(shape, clause, dependent),
        )
    )
    return Sentence(english, german, romanian, turkish, shape, marked.replace(",", ""))


def _join(*parts: str | None) -> str:
    return " ".join(part for part in parts if part)


def _person(subject: NounPhrase | lex.Pronoun) -> int:
    return subject.person if isinstance(subject, lex.Pronoun) else 3 if subject.plural else 1


# English ------------------------------------------------------------------------------------------


def _english(shape: str, clause: Clause, dependent: Clause | None) -> str:
    match shape:
        case "because" | "that":
            assert dependent
            return f"{_english_clause(clause)} {shape} {_english_clause(dependent)}"
        case "when":
            assert dependent
            return f"when {_english_clause(dependent)}, {_english_clause(clause)}"
        case "inversion":
            assert clause.time
            rest = _english_clause(clause._replace(time=None))
            return _join(mark("when", clause.time.english), rest)
        case "question":
            return _english_clause(clause, inverted=True)
        case "what" | "where" | "why":
            return _join(_WH[shape][0], _english_clause(clause, inverted=True))
        case "how_many":
            counted = clause._replace(object=None)
            return _join(_english_phrase(clause.object, "what"), _english_clause(counted, True))
    return _english_clause(clause)


def _english_clause(clause: Clause, inverted: bool = False) -> str:
    person, (base, present, past) = _person(clause.subject), clause.verb.english
    auxiliary, form = "", past
    if not clause.past and clause.verb.progressive:
        auxiliary, form = ("am", "is", "are", "are")[person], present
    elif clause.negative or inverted:
        auxiliary, form = "did" if clause.past else "does" if person == 1 else "do", base
    elif not clause.past:
        form = present if person == 1 else base
    subject = _english_phrase(clause.subject, "who")
    first = (auxiliary, subject) if inverted else (subject, auxiliary)
    return _join(
        *first,
        "not" if clause.negative else "",
        form,
        _english_phrase(clause.object, "what"),
        _english_adjunct(clause.adjunct),
        mark("when", clause.time.english) if clause.time else "",
    )


def _english_adjunct(phrase: NounPhrase | None) -> str:
    if not phrase:
        return ""
    words = _english_phrase(phrase, "")
    place = phrase.noun.kind == "place"
    return mark("where", f"in {words}") if place else mark("with_whom", f"with {words}")


def _english_phrase(phrase: NounPhrase | lex.Pronoun | None, slot: str) -> str:
    if not isinstance(phrase, NounPhrase):
        return mark("" if phrase is lex.WHO else slot, phrase.english) if phrase else ""
    words = _join(phrase.adjective and phrase.adjective.english, phrase.noun.english[phrase.plural])
    determiner = phrase.determiner
    if determiner == "this" and phrase.plural:
        determiner = "these"
    elif determiner == "a" and words[0] in "aeiou":
        determiner = "an"
    elif slot and determiner in lex.NUMERALS:
        return _join(mark("how_many", determiner), mark(slot, words))
    elif determiner == "how many":
        return _join(determiner, mark(slot, words))
    return mark(slot, _join(determiner, words))


# German -------------------------------------------------------------------------------------------


def _german(shape: str, clause: Clause, dependent: Clause | None) -> str:
    match shape:
        case "because" | "that":
            assert dependent
            word = "weil" if shape == "because" else "dass"
            return f"{_german_clause(clause)}, {word} {_german_clause(dependent, 'final')}"
        case "when":
            assert dependent
            first = f"als {_german_clause(dependent, 'final')},"
            return _join(first, _german_clause(clause, "first"))
        case "inversion":
            assert clause.time
            rest = _german_clause(clause._replace(time=None), "first")
            return _join(clause.time.german, rest)
        case "question":
            return _german_clause(clause, "first")
        case "what" | "where" | "why":
            return _join(_WH[shape][1], _german_clause(clause, "first"))
        case "how_many":
            counted = clause._replace(object=None)
            return _join(_german_phrase(clause.object, 1), _german_clause(counted, "first"))
    return _german_clause(clause)


def _german_clause(clause: Clause, verb: str = "second") -> str:
    """Return the clause with its finite verb first, second or final."""
    person = _person(clause.subject)
    *present, auxiliary, participle, prefix = clause.verb.german
    finite, last = present[min(person, 2)], prefix
    if clause.past:
        forms = "habe hat haben" if auxiliary == "hat" else "bin ist sind"
        finite, last = forms.split()[min(person, 2)], participle
    subject = _german_phrase(clause.subject, 0)
    middle = _join(
        clause.time.german if clause.time else "",
        _german_phrase(clause.object, 1),
        "nicht" if clause.negative else "",
        _german_adjunct(clause.adjunct),
    )
    if verb == "final":
        # A separable prefix is written together with a finite verb that follows it.
        end = f"{last} {finite}" if clause.past else last + finite
        return _join(subject, middle, end)
    first = (finite, subject) if verb == "first" else (subject, finite)
    return _join(*first, middle, last)


def _german_adjunct(phrase: NounPhrase | None) -> str:
    if not phrase:
        return ""
    preposition = "in" if phrase.noun.kind == "place" else "mit"
    text = _join(preposition, _german_phrase(phrase, 2))
    return text.replace("in dem ", "im ", 1) if text.startswith("in dem ") else text


def _german_phrase(phrase: NounPhrase | lex.Pronoun | None, case: int) -> str:
    if not isinstance(phrase, NounPhrase):
        return phrase.german if phrase else ""
    determiner, noun, adjective, plural = phrase
    gender = "p" if plural else noun.german_gender
    if determiner in lex.NUMERALS:
        article = lex.NUMERALS[determiner][0]
    elif determiner == "how many":
        article = "wie viele"
    else:
        article = lex.german_determiner(determiner, gender, case)
    ending = lex.german_ending(determiner, gender, case)
    return _join(
        article, adjective and adjective.german + ending, lex.german_noun(noun, plural, case)
    )


# Romanian -----------------------------------------------------------------------------------------


def _romanian(shape: str, clause: Clause, dependent: Clause | None) -> str:
    match shape:
        case "because":
            assert dependent
            return f"{_romanian_clause(clause)}, deoarece {_romanian_clause(dependent)}"
        case "that":
            assert dependent
            return f"{_romanian_clause(clause)} că {_romanian_clause(dependent)}"
        case "when":
            assert dependent
            return f"când {_romanian_clause(dependent)}, {_romanian_clause(clause)}"
        case "inversion":
            assert clause.time
            return _join(clause.time.romanian, _romanian_clause(clause._replace(time=None)))
        case "question":
            return _romanian_clause(clause, verb_first=True)
        case "what" | "where" | "why":
            return _join(_WH[shape][2], _romanian_clause(clause, verb_first=True))
        case "how_many":
            counted = _romanian_clause(clause._replace(object=None), verb_first=True)
            return _join(_romanian_phrase(clause.object), counted)
    return _romanian_clause(clause)


def _romanian_clause(clause: Clause, verb_first: bool = False) -> str:
    person = _person(clause.subject)
    *present, participle = clause.verb.romanian
    verb = present[person]
    if clause.past:
        verb = _join(("am", "a", "am", "au")[person], participle)
    verb = _join("nu" if clause.negative else "", verb)
    subject = _romanian_phrase(clause.subject)
    first = (verb, subject) if verb_first else (subject, verb)
    return _join(
        *first,
        _romanian_phrase(clause.object),
        _romanian_adjunct(clause.adjunct),
        clause.time.romanian if clause.time else "",
    )


def _romanian_adjunct(phrase: NounPhrase | None) -> str:
    if not phrase:
        return ""
    if phrase.noun.kind != "place":
        return _join("cu", _romanian_phrase(phrase))
    if phrase.determiner == "the" and not phrase.adjective:
        # After "în" a noun that nothing else describes loses its article: în casă.
        return _join("în", phrase.noun.romanian[2 * phrase.plural])
    words = _romanian_phrase(phrase)
    return f"într-{words}" if phrase.determiner == "a" else _join("în", words)


def _romanian_phrase(phrase: NounPhrase | lex.Pronoun | None) -> str:
    if not isinstance(phrase, NounPhrase):
        return phrase.romanian if phrase else ""
    determiner, noun, adjective, plural = phrase
    # A neuter noun is masculine in the singular and feminine in the plural.
    feminine = noun.romanian_gender == "f" or (plural and noun.romanian_gender == "n")
    form = 2 * plural + feminine
    before = after = ""
    if determiner in lex.NUMERALS:
        before = lex.NUMERALS[determiner][1]
    elif determiner == "how many":
        before = "câte" if feminine else "câți"
    elif determiner == "a":
        before = "o" if feminine else "un"
    elif determiner == "this":
        before = ("acest", "această", "acești", "aceste")[form]
    elif determiner == "my":
        after = ("meu", "mea", "mei", "mele")[form]
    article = determiner in ("the", "my")
    word = noun.romanian[2 * plural + article]
    return _join(before, word, after, adjective and adjective.romanian[form])


# Turkish ------------------------------------------------------------------------------------------


def _turkish(shape: str, clause: Clause, dependent: Clause | None) -> str:
    person = _person(clause.subject)
    if isinstance(clause.subject, NounPhrase):
        person = 1  # after a plural noun the verb is singular
    verb = lex.turkish_verb(clause.verb.turkish, clause.past, clause.negative, person)
    match shape:
        case "because":
            assert dependent
            return f"{_turkish_clause(clause, verb)}, çünkü {_turkish('', dependent, None)}"
        case "that":
            assert dependent
            reported = _turkish_dependent(dependent, "(n)In", "nI")
            return _join(_turkish_phrase(clause.subject), reported, verb)
        case "when":
            assert dependent
            return _join(_turkish_dependent(dependent, "", "ndA"), _turkish_clause(clause, verb))
        case "inversion":
            assert clause.time
            rest = _turkish_clause(clause._replace(time=None), verb)
            return _join(clause.time.turkish, rest)
        case "question":
            return _turkish_clause(clause, lex.turkish_suffix(verb, " mI"))
        case "what" | "where" | "who":
            return _turkish_clause(clause, _join(_TURKISH_WH[shape], verb))
        case "why":
            return _turkish_clause(clause, verb, after_subject="neden")
    return _turkish_clause(clause, verb)


def _turkish_clause(clause: Clause, verb: str, after_subject: str = "", genitive: str = "") -> str:
    return _join(
        _turkish_phrase(clause.subject, genitive),
        after_subject,
        clause.time.turkish if clause.time else "",
        _turkish_adjunct(clause.adjunct),
        _turkish_object(clause.object),
        verb,
    )


def _turkish_dependent(clause: Clause, subject_case: str, verb_case: str) -> str:
    verb = lex.turkish_participle(clause.verb.turkish, clause.negative, verb_case)
    return _turkish_clause(clause, verb, genitive=subject_case)


def _turkish_adjunct(phrase: NounPhrase | None) -> str:
    return _turkish_phrase(phrase, "DA" if phrase and phrase.noun.kind == "place" else "(y)lA")


def _turkish_object(phrase: NounPhrase | None) -> str:
    # Only a definite object takes the accusative: evi, but bir ev, üç ev, kaç ev.
    definite = phrase and phrase.determiner in ("the", "this", "my")
    return _turkish_phrase(phrase, "(y)I" if definite else "")


def _turkish_phrase(phrase: NounPhrase | lex.Pronoun | None, case: str = "") -> str:
    if not isinstance(phrase, NounPhrase):
        return phrase.turkish if phrase else ""
    determiner, noun, adjective, plural = phrase
    counted = determiner in lex.NUMERALS or determiner == "how many"
    suffixes = [
        "lAr" if plural and not counted else "",
        "(I)m" if determiner == "my" else "",
        case,
    ]
    word = lex.turkish_noun(noun.turkish, *filter(None, suffixes))
    before = {"this": "bu", "how many": "kaç"}.get(determiner, "")
    if determiner in lex.NUMERALS:
        before = lex.NUMERALS[determiner][2]
    article = "bir" if determiner == "a" else ""  # after the adjective: kırmızı bir ev
    return _join(before, adjective and adjective.turkish, article, word)
