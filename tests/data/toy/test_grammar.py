from collections import Counter

import pytest

from taskaware.data.toy import grammar
from taskaware.data.toy.clauses import SHAPES
from taskaware.errors import UsageError


@pytest.fixture(scope="module")
def sample():
    return grammar.sentences(10_000, 1)


def test_the_sentences_asked_for_come_in_all_shapes_alike():
    count = Counter(sentence.shape for sentence in grammar.sentences(1200, 5))
    assert count == dict.fromkeys(SHAPES, 100)


def test_sentences_are_distinct(sample):
    assert len({sentence.english for sentence in sample}) == len(sample) == 10_000


def test_no_two_patterns_share_a_sentence():
    # Short patterns are drawn whole, so that a shared sentence could not be missed.
    short = [p for group in grammar.patterns().values() for p in group if p.size < 2500]
    drawn = [pattern.sentence(index).english for pattern in short for index in range(pattern.size)]
    assert len(set(drawn)) == len(drawn) > 5000


def test_the_seed_decides_the_sentences():
    assert grammar.sentences(500, 3) == grammar.sentences(500, 3)
    assert grammar.sentences(500, 3) != grammar.sentences(500, 4)


def test_an_english_sentence_has_one_translation():
    drawn = [sentence for seed in range(4) for sentence in grammar.sentences(1500, seed)]
    english = {sentence.english for sentence in drawn}
    assert len(english) < len(drawn)  # some sentences did come back
    assert len(set(drawn)) == len(english)


def test_sentences_are_short(sample):
    lengths = [len(sentence.english.split()) for sentence in sample]
    assert min(lengths) == 5
    assert max(lengths) == 12
    assert 7 <= sum(lengths) / len(lengths) <= 8


def words(sentences, language):
    return Counter(
        word.strip(".,?").lower()
        for sentence in sentences
        for word in getattr(sentence, language).split()
    )


def test_the_vocabulary_is_small_and_each_word_frequent(sample):
    counts = words(sample, "english")
    assert 150 <= len(counts) <= 180
    assert min(counts.values()) >= 20


def test_a_sentence_is_cased_and_punctuated(sample):
    for sentence in sample:
        asks = sentence.english.split()[0] in ("Is Are Does Do Did What Who Where Why How".split())
        for text in sentence[:4]:
            assert text[0].isupper()
            assert text[-1] == ("?" if asks else ".")
            assert "  " not in text


HOMOPHONES = """
to two too | for four | ate eight | one won | see sea | sees seas seize | son sun | their there
its it's | read red | knew new | know no | blew blue | hear here | heard herd | right write
week weak | whole hole | wear where | which witch | by buy bye | sell cell | our hour | eye I
meat meet | made maid | brake break | flower flour | wait weight | not knot | in inn | tale tail
pear pair | male mail | rose rows | cent sent scent | find fined | close clothes | bored board
guest guessed | past passed | road rode | so sew | would wood | bear bare | dear deer | hair hare
key quay | horse hoarse | night knight | new gnu | through threw | build billed | door dore
man men's | do dew due | be bee | an Ann | say se | ten tin | shoe shoo | who hoo | cry krai
""".replace("\n", "|")


def test_no_two_english_words_sound_alike(sample):
    known = words(sample, "english")
    for group in HOMOPHONES.split("|"):
        assert sum(word.lower() in known for word in group.split()) <= 1, group


FINITE = set(
    """
    sieht sehen findet finden vergisst vergessen kauft kaufen verkauft verkaufen baut bauen trägt
    tragen öffnet öffnen zumacht zumachen schläft schlafen wartet warten läuft laufen arbeitet
    arbeiten tanzt tanzen singt singen lacht lachen weint weinen
    """.split()
)
PARTICIPLES = set(
    """
    gesehen gefunden vergessen gekauft verkauft gebaut getragen geöffnet zugemacht geschlafen
    gewartet gelaufen gearbeitet getanzt gesungen gelacht geweint
    """.split()
)
AUXILIARIES = {"hat", "haben", "ist", "sind"}


def test_a_german_subordinate_clause_ends_in_its_finite_verb(sample):
    seen = set()
    for sentence in sample:
        if sentence.shape in ("because", "that", "when"):
            first, second = sentence.german[:-1].split(", ")
            when = sentence.shape == "when"
            inner, rest = (first, second) if when else (second, first)
            opening, *middle, last = inner.split()
            assert opening in ("Als", "weil", "dass")
            perfect = last in AUXILIARIES
            assert (middle[-1] in PARTICIPLES) if perfect else (last in FINITE)
            assert not AUXILIARIES & set(middle)
            # The main clause keeps its verb second, right after a subordinate clause.
            assert not when or rest.split()[0] in AUXILIARIES
            seen.add(last)
    assert seen == FINITE | AUXILIARIES


def test_a_count_beyond_the_language_is_refused_in_one_line():
    with pytest.raises(UsageError, match="found 1000000000000") as caught:
        grammar.sentences(10**12, 0)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="found -1"):
        grammar.sentences(-1, 0)
