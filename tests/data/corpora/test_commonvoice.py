import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.command_line import taskaware

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
soundfile = pytest.importorskip("soundfile")
from support.corpus_files import left_out, missing, prepared, refusal, texts, write  # noqa: E402

from taskaware.data.corpora.commonvoice import CommonVoice, CoVoST2  # noqa: E402

OLD = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccent\n"
NEW = (
    "client_id\tpath\tsentence_id\tsentence\tsentence_domain\tup_votes\tdown_votes\tage\tgender"
    "\taccents\tvariant\tlocale\tsegment\n"
)
ANNA = "anna\tclip_1.mp3\tHello.\t2\t0\t\t\t\n"
BERT = "bert\tclip_2.mp3\tGood bye.\t2\t1\ttwenties\tmale\tus\n"
FIELDS = ["bert", "clip_2.mp3", "Good bye.", "2", "1", "", "", ""]


def mp3(path, rate=48000, frequency=440):
    """One second of a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * frequency * np.arange(rate) / rate), rate)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "cv-corpus"
    mp3(root / "en/clips/clip_1.mp3")
    mp3(root / "en/clips/clip_2.mp3", rate=32000, frequency=880)
    return root


def voice(root, table, name="train"):
    return CommonVoice(write(root, {f"en/{name}.tsv": table}))


def row(**changes):
    """A row of the old header with some fields changed."""
    names = OLD.strip().split("\t")
    return "\t".join(changes.get(name, old) for name, old in zip(names, FIELDS, strict=True)) + "\n"


# What comes back.


def test_a_row_is_a_sentence_and_its_clip(root, tmp_path):
    corpus = prepared(voice(root, OLD + ANNA + BERT), tmp_path)
    assert [(row.id, *row[2:]) for row in corpus.rows("train")] == [
        ("clip_1", "anna", "Hello.", "", "en", "", "common_voice", {}),
        ("clip_2", "bert", "Good bye.", "", "en", "", "common_voice", {}),
    ]


def test_mp3_of_any_rate_becomes_16_khz(root, tmp_path):
    corpus = prepared(voice(root, OLD + ANNA + BERT), tmp_path)
    for i, frequency in enumerate((440, 880)):
        audio = corpus.audio("train", i)
        assert abs(len(audio) - 16000) < 1200  # MP3 pads
        spectrum = np.abs(np.fft.rfft(audio[4000:12000] / 32768))
        assert spectrum.argmax() * 2 == frequency  # bins of 2 Hz
        assert spectrum.max() / 4000 == pytest.approx(0.5, abs=0.02)


NEWER = "anna\tclip_1.mp3\tid\tHello.\tgeneral\t2\t0\t\t\tEngland English\t\ten\t\n"
HEADERS = {
    "old": (OLD, ANNA),
    "with locale": (OLD.replace("\n", "\tlocale\tsegment\n"), ANNA.replace("\n", "\ten\t\n")),
    "newest": (NEW, NEWER),
    "other order": ("sentence\tpath\tclient_id\n", "Hello.\tclip_1.mp3\tanna\n"),
    "byte order mark": ("\ufeff" + OLD, ANNA),
    "carriage returns": (OLD.replace("\n", "\r\n"), ANNA.replace("\n", "\r\n")),
    "carriage returns after the path": (
        "client_id\tsentence\tpath\r\n",
        "anna\tHello.\tclip_1.mp3\r\n",
    ),
    "short row": (OLD, "anna\tclip_1.mp3\tHello.\n"),
    "no suffix": (OLD, ANNA.replace(".mp3", "")),
    "no last line feed": (OLD, ANNA.removesuffix("\n")),
    "empty lines": (OLD, "\n" + ANNA + "\n\n"),
}


@pytest.mark.parametrize(("header", "anna"), HEADERS.values(), ids=HEADERS)
def test_columns_are_found_by_name_and_may_be_missing_at_the_end(root, tmp_path, header, anna):
    rows = prepared(voice(root, header + anna), tmp_path).rows("train")
    assert [(row.id, row.speaker, row.source_text) for row in rows] == [
        ("clip_1", "anna", "Hello.")
    ]


@pytest.mark.parametrize(
    "sentence",
    ['"Hello," he said.', '"', 'He said "no', "a\\tb \\ c\\", "It's", "'", "a,b;c", "N/A", "null"],
)
def test_quotes_and_backslashes_are_text(root, tmp_path, sentence):
    table = OLD + row(path="clip_1.mp3", sentence=sentence) + BERT
    assert [t[1] for t in texts(prepared(voice(root, table), tmp_path))] == [sentence, "Good bye."]


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ('"""Good-bye,"" said the boy."', '"Good-bye," said the boy.'),
        ('"Yes, ""now""."', 'Yes, "now".'),
        (' """No""" ', '"No"'),
        ('"Hello."', "Hello."),
    ],
)
def test_a_sentence_that_csv_quotes_is_what_was_said(root, tmp_path, field, sentence):
    # As in releases 4 and 5.
    table = OLD + row(path="clip_1.mp3", sentence=field) + BERT
    assert [t[1] for t in texts(prepared(voice(root, table), tmp_path))] == [sentence, "Good bye."]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_and_a_disk_need_not_agree_on_code_points(root, tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    name = unicodedata.normalize(form, "clip_é.mp3")
    (root / "en/clips/clip_1.mp3").rename(root / "en/clips" / name)
    anna = unicodedata.normalize(other, ANNA.replace("clip_1", "clip_é"))
    corpus = prepared(voice(root, OLD + anna), tmp_path)
    assert [(row.source_text, row.num_samples > 0) for row in corpus.rows("train")] == [
        ("Hello.", True)
    ]


def test_lines_end_in_a_line_feed_alone(root, tmp_path):
    table = OLD + row(sentence="one\u2028two\x85three\rfour\x0cfive") + ANNA
    found = texts(prepared(voice(root, table), tmp_path))
    assert [text for _, text, _ in found] == ["one two three four five", "Hello."]


def test_the_tables_that_are_there_are_splits(root, tmp_path):
    for name in ("dev", "test", "validated", "invalidated", "other"):
        voice(root, OLD + ANNA, name)
    corpus = prepared(CommonVoice(root), tmp_path)
    assert set(corpus.splits) == {"validation", "test"}


def test_a_row_without_a_sentence_is_left_out(root, tmp_path):
    corpus = prepared(voice(root, OLD + row(sentence=" ") + ANNA), tmp_path)
    assert texts(corpus) == [("clip_1", "Hello.", "")]
    assert left_out(corpus) == [("the transcript is empty", f"{root}/en/train.tsv:2")]


def test_another_language_is_another_folder(root, tmp_path):
    (root / "en").rename(root / "sv-SE")
    write(root, {"sv-SE/test.tsv": OLD + ANNA})
    corpus = prepared(CommonVoice(root, "sv-SE"), tmp_path)
    assert corpus.rows("test")[0].source_language == "sv-SE"


# What is refused.

BAD = {
    "two fields": ("anna\tclip_2.mp3\n", "or at least the first 3, found 2"),
    "spaces for tabs": ("anna clip_2.mp3 Hello.\n", "or at least the first 3, found 1"),
    "too many fields": (
        row(accent="a\tb"),
        "expected 8 fields separated by tabs, as in the header",
    ),
    "a tab in the sentence": (row(sentence="a\tb"), "found 9"),
    "no path": (row(path=""), "expected the bare name of an audio file, found ''"),
    "folder in the path": (row(path="clips/clip_2.mp3"), "expected the bare name"),
    "parent": (row(path="../clip_2.mp3"), "expected the bare name"),
    "no such clip": (row(path="clip_3.mp3"), "no audio file 'clip_3.mp3' in"),
    "twice": (ANNA, "id 'clip_1' stands twice in its split"),
    "NUL": (row(sentence="a\0b"), "found a NUL character"),
}


@pytest.mark.parametrize(("bad", "expected"), BAD.values(), ids=BAD)
def test_a_bad_row_is_refused_with_its_line(root, tmp_path, bad, expected):
    message = refusal(voice(root, OLD + ANNA + bad), tmp_path)
    assert message.startswith(f"{root}/en/train.tsv:3: ")
    assert expected in message


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("", "expected a column 'client_id', found none in an empty line"),
        (OLD.replace("path", "paths") + ANNA, "'path', found none in client_id, paths,"),
        (OLD.replace("up_votes", "path") + ANNA, "expected a column 'path', found it twice"),
        (OLD.replace("\t", ",") + ANNA, "expected a column 'client_id', found none"),
        (OLD.encode("utf-16"), "expected UTF-8, found byte 0xff"),
    ],
)
def test_a_bad_header_is_refused(root, tmp_path, table, expected):
    message = refusal(voice(root, table), tmp_path)
    assert message.startswith(f"{root}/en/train.tsv:1: ")
    assert expected in message


def test_a_broken_clip_is_refused_with_its_row(root, tmp_path):
    path = root / "en/clips/clip_2.mp3"
    path.write_bytes(b"<html>429 Too Many Requests</html>")
    message = refusal(voice(root, OLD + ANNA + BERT), tmp_path)
    assert message.startswith(f"{root}/en/train.tsv:3: {path}: ")
    assert "a failed download?" in message


# What is missing.


def test_without_the_corpus_a_page_tells_where_it_is_got(root, tmp_path):
    names = ("train", "dev", "test")
    assert missing(CommonVoice(root), tmp_path) == [f"{root}/en/{name}.tsv" for name in names]
    outcome = taskaware("check", "common_voice", root)
    assert outcome.code == 2
    assert "commonvoice.mozilla.org" in outcome.err
    assert "CC0" in outcome.err
    write(root, {"de/dev.tsv": OLD})
    assert missing(CommonVoice(root, "de"), tmp_path) == [f"{root}/de/clips"]


# CoVoST 2.

COVOST = "path\ttranslation\tsplit\n"


def covost(root, table, validated=OLD + BERT + ANNA):
    return CoVoST2(write(root, {"en/validated.tsv": validated, "covost_v2.en_de.tsv": table}))


def test_translations_are_joined_to_the_clips(root, tmp_path):
    table = COVOST + 'clip_1.mp3\t"Hallo."\ttrain\nclip_2.mp3\tTschüss.\ttest\n'
    corpus = prepared(covost(root, table), tmp_path)
    assert [(row.id, *row[2:]) for row in corpus.rows("train")] == [
        ("clip_1", "anna", "Hello.", '"Hallo."', "en", "de", "covost2", {})
    ]
    assert texts(corpus, "test") == [("clip_2", "Good bye.", "Tschüss.")]
    assert abs(len(corpus.audio("test", 0)) - 16000) < 1200


def test_the_larger_train_set_is_joined_and_the_other_test_sets_are_left_out(root, tmp_path):
    table = COVOST + "clip_1.mp3\tA\ttrain_covost\nclip_2.mp3\tB\ttrain\n"
    table += "clip_1.mp3\tA\tdev\nclip_2.mp3\tB\tdev_covost\n"
    corpus = prepared(covost(root, table), tmp_path)
    assert [text for _, _, text in texts(corpus)] == ["A", "B"]
    assert [text for _, _, text in texts(corpus, "validation")] == ["A"]
    assert left_out(corpus, "validation") == [("split dev_covost", f"{root}/covost_v2.en_de.tsv:5")]


def test_what_has_no_translation_or_no_clip_is_left_out(root, tmp_path):
    table = COVOST + "clip_1.mp3\t \ttrain\nclip_7.mp3\tX\ttrain\nclip_2.mp3\tB\ttrain\n"
    corpus = prepared(covost(root, table), tmp_path)
    assert texts(corpus) == [("clip_2", "Good bye.", "B")]
    assert left_out(corpus) == [
        ("a side of the pair is empty", f"{root}/covost_v2.en_de.tsv:2"),
        ("not in validated.tsv", f"{root}/covost_v2.en_de.tsv:3"),
    ]


def test_what_its_authors_marked_to_be_removed_is_left_out(root, tmp_path):
    table = COVOST + "clip_1.mp3\tREMOVE\ttrain\nclip_2.mp3\tRemove it.\ttrain\n"
    corpus = prepared(covost(root, table), tmp_path)
    assert texts(corpus) == [("clip_2", "Good bye.", "Remove it.")]
    assert left_out(corpus) == [("marked REMOVE", f"{root}/covost_v2.en_de.tsv:2")]


def test_quoting_is_undone_on_both_sides_of_a_pair(root, tmp_path):
    validated = OLD + row(path="clip_1.mp3", sentence='"""Bye,"" he said."') + BERT
    table = COVOST + 'clip_1.mp3\t"""Bis dann"", sagte er."\ttrain\n'
    assert texts(prepared(covost(root, table, validated), tmp_path)) == [
        ("clip_1", '"Bye," he said.', '"Bis dann", sagte er.')
    ]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ("clip_2.mp3\tB\tother\n", "expected split train, dev or test, found 'other'"),
        ("clip_2.mp3\tB\n", "found 2"),
        ("clip_2.mp3\tB\tC\ttrain\n", "expected 3 fields separated by tabs, as in the header"),
        ("clip_1.mp3\tA\ttrain\n", "id 'clip_1' stands twice in its split"),
    ],
)
def test_a_bad_row_of_translations_is_refused_with_its_line(root, tmp_path, bad, expected):
    message = refusal(covost(root, COVOST + "clip_1.mp3\tA\ttrain\n" + bad), tmp_path)
    assert message.startswith(f"{root}/covost_v2.en_de.tsv:3: ")
    assert expected in message


def test_a_bad_row_of_the_clips_is_refused_with_its_line(root, tmp_path):
    table = COVOST + "clip_1.mp3\tA\ttrain\n"
    message = refusal(covost(root, table, OLD + ANNA + "x\ty\n"), tmp_path)
    assert message.startswith(f"{root}/en/validated.tsv:3: ")


def test_names_are_the_same_with_their_suffix_or_without(root, tmp_path):
    table = COVOST + "clip_1.mp3\tA\ttrain\nclip_2\tB\ttrain \n"
    validated = OLD + BERT + ANNA.replace("clip_1.mp3", "clip_1")
    corpus = prepared(covost(root, table, validated), tmp_path)
    assert [row.id for row in corpus.rows("train")] == ["clip_1", "clip_2"]


def test_what_covost_lacks_is_named(root, tmp_path):
    files = [f"{root}/covost_v2.en_de.tsv", f"{root}/en/validated.tsv"]
    assert missing(CoVoST2(root), tmp_path) == files
    assert missing(CoVoST2(root, "fr", "en"), tmp_path) == [
        f"{root}/covost_v2.fr_en.tsv",
        f"{root}/fr/validated.tsv",
        f"{root}/fr/clips",
    ]


# Whatever stands in a table.

PIECES = ["\t", "\n", '"', "\\", "clip_1.mp3", "clip_2.mp3", "train", "anna", "\r", "\u2028", "\0"]


@given(st.binary() | st.lists(st.sampled_from(PIECES)).map("".join), st.booleans(), st.booleans())
@example("", False, False)
def test_any_table_is_a_result_or_a_usage_error(tmp_path_factory, rows, whole, strict):
    content = rows if isinstance(rows, bytes) else rows.encode()
    root = tmp_path_factory.getbasetemp() / "any_voice"
    head = OLD.encode() if whole else b""
    write(root, {"en/clips/clip_1.mp3": b"", "en/test.tsv": head + content})
    write(root, {"en/validated.tsv": OLD + ANNA, "covost_v2.en_de.tsv": COVOST.encode() + content})
    for corpus in (CommonVoice(root), CoVoST2(root)):
        try:
            corpus.splits(strict=strict)
        except UsageError as error:
            assert len(str(error).split("\n")) == 1
