import itertools

import pytest

from taskaware.data.toy import grammar, lexicon


@pytest.mark.parametrize(
    ("determiner", "noun", "declined"),
    [
        ("the", "teacher", "der Lehrer, den Lehrer, dem Lehrer"),
        ("a", "neighbor", "ein Nachbar, einen Nachbarn, einem Nachbarn"),
        ("my", "city", "meine Stadt, meine Stadt, meiner Stadt"),
        ("this", "house", "dieses Haus, dieses Haus, diesem Haus"),
        ("the", "children", "die Kinder, die Kinder, den Kindern"),
        ("my", "cars", "meine Autos, meine Autos, meinen Autos"),
        ("this", "women", "diese Frauen, diese Frauen, diesen Frauen"),
        ("the", "girls", "die Mädchen, die Mädchen, den Mädchen"),
    ],
)
def test_german_nouns_are_declined_with_their_articles(determiner, noun, declined):
    found = next(n for n in lexicon.NOUNS if noun in n.english)
    plural = noun == found.english[1]
    gender = "p" if plural else found.german_gender
    forms = [
        lexicon.german_determiner(determiner, gender, case)
        + " "
        + lexicon.german_noun(found, plural, case)
        for case in range(3)
    ]
    assert ", ".join(forms) == declined


# From any grammar's table: nominative, accusative, dative of m, f, n and plural.
@pytest.mark.parametrize(
    ("determiner", "endings"),
    [
        ("the", "e en en, e e en, e e en, en en en"),
        ("this", "e en en, e e en, e e en, en en en"),
        ("my", "er en en, e e en, es es en, en en en"),
        ("three", "- - -, - - -, - - -, e e en"),
        ("how many", "- - -, - - -, - - -, e e en"),
    ],
)
def test_german_adjectives_end_as_their_determiner_asks(determiner, endings):
    for gender, row in zip("mfnp", endings.split(", "), strict=True):
        for case, ending in enumerate(row.split()):
            if ending != "-":
                assert lexicon.german_ending(determiner, gender, case) == ending


@pytest.mark.parametrize(
    ("stem", "suffixes", "expected"),
    [
        ("ev", ["lAr"], "evler"),
        ("ev", ["lAr", "(I)m", "(y)I"], "evlerimi"),
        ("kitap", ["(y)I"], "kitabı"),
        ("kitap", ["DA"], "kitapta"),
        ("kitap", ["lAr", "(y)I"], "kitapları"),
        ("çocuk", ["(y)A"], "çocuğa"),
        ("çocuk", ["(y)lA"], "çocukla"),
        ("araba", ["(y)I"], "arabayı"),
        ("araba", ["(I)m"], "arabam"),
        ("köpek", ["(y)I"], "köpeği"),
        ("ağaç", ["(y)I"], "ağacı"),
        ("at", ["(n)In"], "atın"),
        ("park", ["(y)I"], "parkı"),
        ("kuş", ["(n)In"], "kuşun"),
        ("komşu", ["(n)In"], "komşunun"),
        ("köy", ["DA"], "köyde"),
        ("şehir", ["(I)m", "DA"], "şehrimde"),
        ("şehir", ["DA"], "şehirde"),
        ("kral", ["(y)lA"], "kralla"),
        ("kedi", ["(y)lA"], "kediyle"),
        ("öğretmen", ["lAr", "(n)In"], "öğretmenlerin"),
    ],
)
def test_turkish_nouns_take_suffixes(stem, suffixes, expected):
    assert lexicon.turkish_noun(stem, *suffixes) == expected


@pytest.mark.parametrize(
    ("stem", "past", "negative", "person", "expected"),
    [
        ("gör", True, False, 1, "gördü"),
        ("gör", False, False, 0, "görüyorum"),
        ("gör", False, True, 2, "görmüyoruz"),
        ("bekle", False, False, 1, "bekliyor"),
        ("bekle", True, True, 3, "beklemediler"),
        ("uyu", False, True, 1, "uyumuyor"),
        ("boya", False, False, 3, "boyuyorlar"),
        ("aç", True, False, 0, "açtım"),
        ("unut", True, False, 2, "unuttuk"),
        ("dans et", False, False, 1, "dans ediyor"),
        ("dans et", True, False, 1, "dans etti"),
        ("şarkı söyle", False, False, 1, "şarkı söylüyor"),
    ],
)
def test_turkish_verbs_are_conjugated(stem, past, negative, person, expected):
    assert lexicon.turkish_verb(stem, past, negative, person) == expected


VOWELS = "aıoueiöü"
FRONT, ROUND = "eiöü", "ouöü"


def in_harmony(before, vowel):
    front = (before in FRONT) == (vowel in FRONT)
    return front and (vowel in "ae" or (before in ROUND) == (vowel in ROUND))


def turkish_stems():
    stems = {"şehr", "ed"}
    for noun in lexicon.NOUNS:
        stems |= {noun.turkish, noun.turkish[:-1]} if noun.turkish[-1] in "pçk" else {noun.turkish}
    for verb in lexicon.ACTIONS + lexicon.REPORTS:
        stem = verb.turkish.split()[-1]
        stems |= {stem, stem[:-1]} if stem[-1] in VOWELS else {stem}
    return stems


def test_turkish_suffixes_are_in_harmony_with_their_stems():
    checked, stems = set(), turkish_stems()
    for sentence in grammar.sentences(5000, 2):
        tokens = sentence.turkish[:-1].replace(",", "").lower().split()
        for before, token in zip(["", *tokens], tokens, strict=False):
            if token in ("mı", "mi", "mu", "mü"):
                stem, suffix = before, token
            else:
                stem = max((s for s in stems if token.startswith(s)), key=len, default="")
                suffix = token[len(stem) :]
            if not stem or not suffix or token == "satın":
                continue
            # The o of -iyor never changes; what follows it is in harmony with the o.
            vowels = [letter for letter in stem + suffix if letter in VOWELS]
            tail = sum(letter in VOWELS for letter in suffix)
            pairs = list(itertools.pairwise(vowels))[-tail:] if tail else []
            assert all(in_harmony(a, b) for a, b in pairs if b != "o"), token
            checked.add(token)
    assert len(checked) > 350
