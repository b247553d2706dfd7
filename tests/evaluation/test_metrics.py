import json
import math
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from importlib.metadata import version

import jaxtyping
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.errors import UsageError
from taskaware.evaluation.metrics.normalizers import NORMALIZER, normalize_transcript
from taskaware.evaluation.metrics.task_confusion import confusion, other_language_share, vocabulary
from taskaware.evaluation.metrics.texts import bleu, wer

GERMAN = [
    ("Das ist gut.", "Das ist gut."),
    ("Die Bären mögen süßen Honig, sagte er.", "Die Bären mögen süßen Honig sehr, sagte sie."),
    ("„Komm zurück“, rief sie laut über den Fluss.", "„Komm her“, rief sie laut über den Fluss."),
    ("Es kostet 3,50 € – oder weniger.", "Es kostet 3,50 € – vielleicht weniger."),
    ("Wir haben das nicht gewußt!", "Wir haben das nicht gewusst!"),
    ("Er geht nach Hause nach Hause nach Hause.", "Er geht am Abend nach Hause."),
    ("Ärzte, Öfen & Übungen: ein Test.", "Ärzte, Öfen und Übungen: ein Test."),
    ("So geht's nicht weiter, oder doch?", "So geht’s nicht weiter, oder etwa doch?"),
    ("Der U.S.-Präsident (75) kam um 9.30 Uhr an.", "Der US-Präsident (75) kam um 9.30 Uhr an."),
    ("", "Dieser Satz fehlt der Ausgabe ganz."),
    ("ich weiß es nicht", "Ich weiß es nicht."),
    ("»Na also«, dachte sie, »es läuft …«", "»Na also«, dachte sie sich, »es läuft …«"),
]

words = st.lists(st.sampled_from("a b c d it's élan".split()), min_size=1, max_size=8).map(" ".join)
pairs = st.lists(st.tuples(words, words | st.just("")), min_size=1, max_size=6)


@pytest.fixture
def as_users_call_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the suite's run-time type checks, which would refuse wrong types first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def one_line(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


# BLEU


def test_bleu_is_the_geometric_mean_of_precisions_counted_by_hand():
    # 5 of 6 words, 3 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; equal lengths.
    score = bleu(["the cat sat on the mat"], ["the cat sat on a mat"])
    assert score.value == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4))


def test_bleu_of_a_faultless_beginning_is_the_brevity_penalty():
    score = bleu(["the cat sat on"], ["the cat sat on the mat"])
    assert score.value == pytest.approx(100 * math.exp(1 - 6 / 4))


def test_bleu_pools_counts_over_the_corpus_rather_than_averaging_sentences():
    # Words 10/11, pairs 7/9, triples 5/7, quadruples 3/5, lengths 11 and 11.
    score = bleu(
        ["the cat sat on the mat", "we all go home now"],
        ["the cat sat on a mat", "we all go home now"],
    )
    assert score.value == pytest.approx(100 * (10 / 11 * 7 / 9 * 5 / 7 * 3 / 5) ** (1 / 4))


def test_bleu_is_cased():
    assert bleu(["ES IST GUT SO"], ["es ist gut so"]).value == 0


def test_bleu_and_its_signature_equal_the_sacrebleu_command_line(tmp_path):
    for name, lines in zip(("hypotheses", "references"), zip(*GERMAN, strict=True), strict=True):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "references", "-i", "hypotheses", "-w", "10"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    expected = json.loads(done.stdout)

    score = bleu(*zip(*GERMAN, strict=True))

    assert 30 < score.value < 90
    assert score.value == pytest.approx(expected["score"], abs=1e-9)
    assert score.signature == expected["signature"]


def test_the_bleu_signature_names_tokenizer_case_and_version():
    signature = bleu(["a b c d"], ["a b c d"]).signature
    parts = dict(part.split(":") for part in signature.split("|"))
    assert parts["tok"] == "13a"
    assert parts["case"] == "mixed"
    assert parts["version"] == version("sacrebleu")


# WER


@pytest.mark.parametrize(
    ("hypothesis", "reference", "errors", "words"),
    [
        ("the dog sat", "the cat sat", 1, 3),  # a substitution
        ("the big cat sat", "the cat sat", 1, 3),  # an insertion
        ("the sat", "the cat sat", 1, 3),  # a deletion
        ("a dog", "the cat sat", 3, 3),  # two substitutions, a deletion
        ("no no no no", "yes", 4, 1),  # more than 100 %
        ("", "the cat sat", 3, 3),
        ("Hello, world.", "hello world", 0, 2),
    ],
)
def test_wer_counts_errors_by_hand(hypothesis, reference, errors, words):
    score = wer([hypothesis], [reference])
    assert score.value == pytest.approx(100 * errors / words)
    assert score.signature == NORMALIZER


def test_wer_is_pooled_over_the_corpus():
    # 1 error in 1 word and 0 errors in 9: 1/10, where the mean of the two rates is 1/2.
    score = wer(["no", "a b c d e f g h i"], ["yes", "a b c d e f g h i"])
    assert score.value == pytest.approx(10)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("It\u2019s  the dogs\u2019 \u2018home\u2019!", "it's the dogs home"),
        ("5\u00a0\u20ac of\u202fall", "5 \u20ac of all"),
        ("well-known\u2014\u201creally\u201d\u2026", "well known really"),
        ("zu\u00adsammen \ufeffda", "zusammen da"),
        ("U\u0308BER", "über"),
        ("\u00bfqu\u00e9? \u00abs\u00ed\u00bb", "qué sí"),
        ("'t is rock 'n' roll", "t is rock n roll"),
        ("?!\u2014'", ""),
    ],
)
def test_a_transcript_keeps_its_words_alone(text, plain):
    assert normalize_transcript(text) == plain


@given(st.text())
def test_normalizing_twice_changes_nothing_more(text):
    once = normalize_transcript(text)
    assert normalize_transcript(once) == once


@given(pairs)
def test_wer_is_never_negative_and_zero_only_for_equal_texts(rows):
    references, hypotheses = zip(*rows, strict=True)
    value = wer(hypotheses, references).value
    assert value >= 0
    assert (value == 0) == (references == hypotheses)
    assert wer(references, references).value == 0


# Both

MAT = ["the cat sat on the mat"]
GOLDEN = [
    # BLEU as `sacrebleu references -i hypotheses -w 10` of sacrebleu 2.6.0 printed it, WER as
    # jiwer 4.0.0 did. Beside it the precisions of 1 to 4 words, or the errors, counted by hand.
    (bleu, ["the cat sat on the mat"], MAT, 100.0),
    (bleu, ["the cat sat on a mat"], MAT, 53.7284965912),  # 5/6 3/5 2/4 1/3
    (bleu, ["the cat sat on"], MAT, 60.6530659713),  # all; 4 words for 6: exp(1 - 6/4)
    (bleu, ["the cat sat on the mat today again"], MAT, 68.0374933317),  # 6/8 5/7 4/6 3/5
    (bleu, ["The cat sat on the mat"], MAT, 75.9835685652),  # 5/6 4/5 3/4 2/3
    (bleu, ["Das ist ja gut!"], ["Das ist ja gut."], 66.8740304976),  # 4/5 3/4 2/3 1/2
    (bleu, ["a b c x"], ["a b c d"], 59.4603557501),  # 3/4 2/3 1/2, none of 1 as 1/2
    (  # 10/11 7/9 5/7 3/5
        bleu,
        ["the cat sat on a mat", "we all go home now"],
        [*MAT, "we all go home now"],
        74.1944662737,
    ),
    (wer, ["no", "a b c d e f g h i"], ["yes", "a b c d e f g h i"], 10.0),  # 1 of 10
    (wer, ["no no no no"], ["yes"], 400.0),  # 1 other and 3 too many, of 1
    (wer, ["the dog sat down on mat"], MAT, 50.0),  # 1 other, 1 too many, 1 missing, of 6
    (wer, ["", "a b"], ["a b", "a b"], 50.0),  # 2 missing, of 4
]


@pytest.mark.parametrize(("metric", "hypotheses", "references", "score"), GOLDEN)
def test_scores_are_those_of_the_public_programs(metric, hypotheses, references, score):
    assert metric(hypotheses, references).value == pytest.approx(score, abs=1e-9)


@pytest.mark.parametrize("metric", [bleu, wer])
def test_the_order_of_segments_does_not_matter(metric):
    forward, backward = zip(*GERMAN, strict=True), zip(*GERMAN[::-1], strict=True)
    assert metric(*forward) == metric(*backward)


@pytest.mark.parametrize("metric", [bleu, wer])
def test_composed_and_decomposed_letters_are_the_same(metric):
    hypotheses, references = zip(*GERMAN, strict=True)
    decomposed = [unicodedata.normalize("NFD", text) for text in hypotheses]
    assert decomposed != list(hypotheses)
    assert metric(decomposed, references) == metric(hypotheses, references)
    assert metric(references, decomposed[:9] + list(references[9:])) == metric(
        references, hypotheses[:9] + references[9:]
    )


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("metric", [bleu, wer])
@pytest.mark.parametrize(
    ("hypotheses", "references", "names"),
    [
        (["a", "b", "c"], [["a"], ["b"], ["c"]], "found a list at index 0"),
        (["a", "b", "c"], [["a", "b", "c"]], "found a list at index 0"),
        ("a b c", ["a b c"], "hypotheses: expected a list of strings, found one str"),
        (["a b c"], "a b c", "references: expected a list of strings, found one str"),
        (["a", None], ["a", "b"], "found a NoneType at index 1"),
        (["a", 7], ["a", "b"], "found a int at index 1"),
        ([b"a"], ["a"], "found a bytes at index 0"),
        (iter(["a"]), ["a"], "expected a list of strings"),
        (["a", "b"], ["a"], "2 hypotheses and 1 references"),
        (["a"], ["a", "b"], "1 hypotheses and 2 references"),
        ([], [], "0 hypotheses and 0 references"),
        (["a", "b", "c"], ["a", "", " "], "2 of 3 references are empty, the first at index 1"),
        (["a b"], [""], "1 of 1 references are empty"),
        (["▁das ▁ist"], ["das ist"], "subword pieces at index 0"),
        (["das ist"], ["▁das ▁ist"], "subword pieces at index 0"),
        (["ja", "zu@@ sammen"], ["ja", "zusammen"], "subword pieces at index 1"),
        (["zu@@"], ["zusammen"], "subword pieces at index 0"),
    ],
)
def test_a_call_that_would_score_silently_wrong_is_refused(metric, hypotheses, references, names):
    assert names in one_line(lambda: metric(hypotheses, references))


def test_a_reference_of_punctuation_alone_is_empty_for_wer_but_not_for_bleu():
    assert "1 of 2 references are empty" in one_line(lambda: wer(["a", "b"], ["a", "—!"]))
    assert bleu(["a b c d", "!"], ["a b c d", "!"]).value == pytest.approx(100)


def test_importing_evaluate_loads_no_scorer():
    code = (
        "import sys, taskaware.evaluation.metrics.texts;"
        "print({'sacrebleu', 'jiwer', 'rapidfuzz'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Task confusion

TABLE_1 = [  # asked for, what the other task asks for, confused output, task-aware output
    (
        "even their own parents' mobility, opportunity to grow",
        "sogar die Mobilität ihrer eigenen Eltern, Gelegenheit zu wachsen",
        "sogar ihre eigenen Eltern Mobilität opportunity to..",
        "even their own parents Mobility opportunity to ..",
    ),
    (
        "Die Situation ist alarmierend.",
        "Situația este alarmantă.",
        "Situația este alarmantă",
        "Die Situation ist alarmierend",
    ),
    (
        "Das verstehe ich nicht. War es ein Erfolg oder nicht?",
        "I don't understand it. Was it a success or not?",
        "I don't understand it. was a success or not.",
        "Das verstehe ich nicht war ein Erfolg oder nicht.",
    ),
]


@pytest.mark.parametrize(("own", "other", "confused", "aware"), TABLE_1)
def test_the_outputs_of_table_1_are_told_apart(own, other, confused, aware):
    assert confusion([confused], [own], [(other,)]) == 100
    assert confusion([aware], [own], [(other,)]) == 0


def test_confusion_is_a_share_of_the_segments_in_percent():
    own, other, confused, aware = zip(*TABLE_1, strict=True)
    outputs = [confused[0], aware[1], aware[2]]
    assert confusion(outputs, own, [(text,) for text in other]) == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    "output",
    [
        "",
        "the the the the the the the",  # bad English is not German
        "Peter",  # a name that both share, and the other reference is the shorter one
        "the dog Hund heute",  # two words of each
    ],
)
def test_a_bad_output_or_a_tie_is_not_confusion(output):
    own, other = "today Peter sees the big dog over there", "heute sieht Peter einen Hund"
    assert confusion([output], [own], [(other,)]) == 0


def test_the_nearest_of_several_other_tasks_decides():
    others = ("el perro duerme", "der Hund schläft")
    assert confusion(["der Hund schläft"], ["the dog sleeps"], [others]) == 100
    assert confusion(["the dog sleeps"], ["the dog sleeps"], [others]) == 0


def test_segments_without_another_reference_do_not_count():
    hypotheses, references = ["der Hund", "the dog", "ja"], ["the dog", "the dog", "Ja!"]
    # The third segment's other reference says the same as its own.
    assert confusion(hypotheses, references, [("der Hund",), (), ("ja",)]) == 100
    assert confusion(hypotheses[1:], references[1:], [(), ("ja",)]) is None
    # Nor does one that has no words itself, or whose rivals have none.
    assert confusion(hypotheses, ["…", "the dog", "Ja!"], [("der Hund",), (), ("—",)]) is None


def test_a_label_is_confused_when_it_is_exactly_what_another_task_asks_for():
    """Intent asked for, of a model that answers the speaker, language or intent."""
    references, others = ["go", "go", "Stop", "go"], [("Anna", "en"), ("Anna", "de")] * 2
    assert confusion(["Anna", "de", "Stop", "go"], references, others, labels=True) == 50
    # Right, wrong but of this task, of another case, of another example.
    outputs = ["go", "Stop", "anna", "en"]
    assert confusion(outputs, references, others, labels=True) == 0
    # As text case would not count, and a part would do.
    assert confusion(["anna"], ["go"], [("Anna",)], labels=True) == 0
    assert confusion(["anna"], ["go"], [("Anna",)]) == 100
    assert confusion(["light on"], ["off"], [("light off", "on")], labels=True) == 0


def test_a_label_that_two_tasks_share_is_not_confused():
    assert confusion(["de"], ["de"], [("de", "Ben")], labels=True) == 0
    assert confusion(["de", ""], ["de", " "], [("de", ""), ("x",)], labels=True) is None
    assert confusion(["!"], ["?"], [("!",)], labels=True) == 100


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize(
    ("others", "names"),
    [
        ([], "each of 1 outputs"),
        ([("b",), ("c",)], "found 2 tuples and 1 references"),
        ("b", "found one str"),
        (None, "found one NoneType"),
        (["b"], "other references of segment 0: expected a list of strings, found one str"),
        ([(None,)], "found a NoneType at index 0"),
    ],
)
def test_other_references_that_fit_no_segment_are_refused(others, names):
    assert names in one_line(lambda: confusion(["a"], ["a"], others))


def test_confusion_of_lists_of_unequal_length_is_refused():
    assert "each of 2 outputs" in one_line(lambda: confusion(["a", "b"], ["a"], [(), ()]))


def test_language_share_counts_words_that_only_the_other_language_has():
    english = vocabulary(["It was in the winter.", "an opportunity to go"])
    german = vocabulary(["Es war in dem Winter.", "Mobilität"])
    assert english == frozenset("it was in the winter an opportunity to go".split())
    # Mobilität and es of six words; in and winter belong to both, xyz to none.
    outputs = ["MOBILITÄT, opportunity", "es in winter xyz", ""]
    assert other_language_share(outputs, english, german) == pytest.approx(100 * 2 / 6)
    assert other_language_share([unicodedata.normalize("NFD", "Mobilität")], english, german) == 100
    assert other_language_share([""], english, german) == 0


def test_languages_that_share_all_words_have_no_language_share():
    words = vocabulary(["a b"])
    assert other_language_share(["a"], words, words) is None
    assert other_language_share([], words, vocabulary(["c"])) == 0


@pytest.mark.usefixtures("as_users_call_it")
def test_a_vocabulary_of_one_text_alone_is_refused():
    assert "found one str" in one_line(lambda: vocabulary("a b"))
