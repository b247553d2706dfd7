import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.command_line import taskaware

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("soundfile")
from support.corpus_files import left_out, missing, noise, prepared, refusal, texts, write

from taskaware.data.corpora.tedlium import TEDLIUM

MOTHERS, GORE = noise(1.0, seed=1), noise(1.0, seed=2)
LINE = "911Mothers_2010W 1 911Mothers_2010W 0.25 0.75 <NA> because of\n"


def sphere(samples, byte_order="01", rate=16000, coding="pcm"):
    """NIST's own format, written by hand: a text header of 1,024 bytes, then the samples."""
    header = (
        "NIST_1A\n   1024\n"
        f"sample_count -i {len(samples)}\n"
        f"sample_rate -i {rate}\n"
        "channel_count -i 1\n"
        "sample_n_bytes -i 2\n"
        "sample_sig_bits -i 16\n"
        f"sample_byte_format -s2 {byte_order}\n"
        f"sample_coding -s{len(coding)} {coding}\n"
        "end_head\n"
    )
    data = samples.astype({"01": "<i2", "10": ">i2"}[byte_order]).tobytes()
    return header.encode().ljust(1024) + data


@pytest.fixture
def root(tmp_path):
    return tmp_path / "TEDLIUM_release-3"


def tedlium(root, table, part="legacy/train", audio=None, **options):
    files = {
        f"{part}/stm/911Mothers_2010W.stm": table,
        f"{part}/sph/911Mothers_2010W.sph": sphere(MOTHERS) if audio is None else audio,
    }
    return TEDLIUM(write(root, files), **options)


# What comes back.


@pytest.mark.parametrize("byte_order", ["01", "10"])
def test_a_line_is_a_stretch_of_a_sphere_file(root, tmp_path, byte_order):
    audio = sphere(MOTHERS, byte_order)
    corpus = prepared(tedlium(root, LINE, audio=audio), tmp_path)
    assert corpus.rows("train") == [
        (
            "911Mothers_2010W-0001",
            8000,
            "911Mothers_2010W",
            "because of",
            "",
            "en",
            "",
            "tedlium",
            {},
        )
    ]
    np.testing.assert_array_equal(corpus.audio("train", 0), MOTHERS[4000:12000])


def test_comments_gaps_and_what_is_not_scored_are_no_examples(root, tmp_path):
    table = (
        ";; CATEGORY 0 NONE\n"
        ";;911Mothers_2010W 1 x 0 1 <NA> a comment\n"
        "\n"
        "911Mothers_2010W 1 inter_segment_gap 0.00 0.10 <o,,unknown>\n"
        "911Mothers_2010W 1 911Mothers_2010W 0.10 0.50 <o,f0,female> hello\n"
        "911Mothers_2010W 1 911Mothers_2010W 0.50 0.60 <o,,unknown>"
        " ignore_time_segment_in_scoring\n"
        "911Mothers_2010W 1 911Mothers_2010W 0.60 0.70 <o,f0,female>\n"
    )
    corpus = prepared(tedlium(root, table), tmp_path)
    assert texts(corpus) == [("911Mothers_2010W-0005", "hello", "")]
    stm = root / "legacy/train/stm/911Mothers_2010W.stm"
    assert left_out(corpus) == [
        ("not speech, by its label", f"{stm}:4"),
        ("not speech, by its label", f"{stm}:6"),
        ("the transcript is empty", f"{stm}:7"),
    ]


@pytest.mark.parametrize(
    ("label_and_words", "expected"),
    [
        ("<NA> because of", "because of"),
        ("<o,f0,male> because of", "because of"),
        ("<o,,unknown> because of", "because of"),
        ("<F0_M> because of", "<F0_M> because of"),
        ("because of", "because of"),
        ("<NA> <unk> because of", "<unk> because of"),
        ("<unk> because of <unk>", "<unk> because of <unk>"),
        ("   <NA>   because\tof ", "because of"),
        ("<NA> i don 't think it 's what we 're in", "i don't think it's what we're in"),
        ("<NA> i 'd say you 'll see they 've heard i 'm", "i'd say you'll see they've heard i'm"),
        ("<NA> get 'em 'cause the '70s rock 'n roll", "get 'em 'cause the '70s rock 'n roll"),
        ("<NA> wait 'til the 'dream 's over", "wait 'til the 'dream's over"),
        ("<NA> kyéma yeékirá 日本", "kyéma yeékirá 日本"),
    ],
)
def test_the_transcript_is_what_follows_the_label_if_there_is_one(
    root, tmp_path, label_and_words, expected
):
    line = LINE.replace("<NA> because of", label_and_words)
    assert texts(prepared(tedlium(root, line), tmp_path))[0][1] == expected


def test_what_nobody_understood_is_left_out(root, tmp_path):
    unknown = LINE.replace("because of", "<unk> <unk>")
    corpus = prepared(tedlium(root, unknown + LINE), tmp_path)
    assert texts(corpus) == [("911Mothers_2010W-0002", "because of", "")]
    assert left_out(corpus)[0][0] == "the transcript is empty"


def test_segments_may_overlap_and_even_be_equal(root, tmp_path):
    corpus = prepared(tedlium(root, LINE + LINE + LINE.replace("0.25", "0.20")), tmp_path)
    assert [row.num_samples for row in corpus.rows("train")] == [8000, 8000, 8800]
    assert len({row.id for row in corpus.rows("train")}) == 3


def test_talks_and_splits_are_those_of_the_division(root, tmp_path):
    tedlium(root, LINE)
    gore = "AlGore_2009 A AlGore_2009 0 1 hello\n"
    for part in ("legacy/train", "legacy/dev", "speaker-adaptation/test"):
        files = {"stm/AlGore_2009.stm": gore, "sph/AlGore_2009.sph": sphere(GORE)}
        files["stm/._AlGore_2009.stm"] = b"\0what macOS leaves"
        write(root / part, files)
    corpus = prepared(TEDLIUM(root), tmp_path)
    assert set(corpus.splits) == {"train", "validation"}
    assert [row.id for row in corpus.rows("train")] == ["911Mothers_2010W-0001", "AlGore_2009-0001"]
    np.testing.assert_array_equal(corpus.audio("train", 1), GORE)
    (tmp_path / "b").mkdir()
    other = prepared(TEDLIUM(root, division="speaker-adaptation"), tmp_path / "b")
    assert other.splits == ("test",)


# What is refused.

BAD = {
    "no times": ("911Mothers_2010W 1 someone 0.5\n", "before the transcript, found 4 fields"),
    "one word": ("hello\n", "before the transcript, found 1 fields"),
    "start": (LINE.replace("0.25", "0:25"), "start: expected seconds, 0 or more"),
    "end": (LINE.replace("0.75", "<NA>"), "end: expected seconds, 0 or more"),
    "negative": (LINE.replace("0.25", "-0.25"), "found '-0.25'"),
    "nan": (LINE.replace("0.75", "nan"), "found 'nan'"),
    "order": (LINE.replace("0.75", "0.2"), "expected an end after the start 0.25 s, found 0.2 s"),
    "channel": (LINE.replace(" 1 ", " 2 "), "expected channel 1, as the audio has one, found '2'"),
    "talk": (LINE.replace("911Mothers_2010W 1", "Other 1"), "no audio file 'Other.sph' in"),
    "path": (LINE.replace("911Mothers_2010W 1", "../sph/x 1"), "expected the bare name"),
    "NUL": (LINE.replace("of", "o\0f"), "found a NUL character"),
    "beyond the end": (LINE.replace("0.75", "2.06"), "expected a stretch of its 1.00 s"),
    "after the end": (LINE.replace("0.25 0.75", "5.00 6.00"), "expected a stretch of its 1.00 s"),
}


@pytest.mark.parametrize(("line", "expected"), BAD.values(), ids=BAD)
def test_a_bad_line_is_refused_and_named(root, tmp_path, line, expected):
    message = refusal(tedlium(root, LINE + line), tmp_path)
    assert message.startswith(f"{root}/legacy/train/stm/911Mothers_2010W.stm:2: ")
    assert expected in message


def test_bytes_that_are_not_utf_8_are_named(root, tmp_path):
    message = refusal(tedlium(root, LINE.encode() + b"caf\xe9 1 x 0 1 <NA> y\n"), tmp_path)
    assert message.endswith("911Mothers_2010W.stm:2: expected UTF-8, found byte 0xe9 at byte 4")


BAD_AUDIO = {
    "empty": (b"", "found an empty one"),
    "text": (b"just some text\n" * 40, "cannot read as audio"),
    "html": (b"<!DOCTYPE html><html>404</html>", "a failed download?"),
    "header cut": (sphere(MOTHERS)[:300], "cannot read as audio"),
    "compressed": (sphere(MOTHERS, coding="pcm,embedded-shorten-v2.00"), "sph2pipe -f wav"),
    "other rate": (sphere(MOTHERS, rate=8000), "expected 16000 Hz, found 8000 Hz"),
    "cut": (sphere(MOTHERS)[:9000], "sph: "),
}


@pytest.mark.parametrize(("audio", "expected"), BAD_AUDIO.values(), ids=BAD_AUDIO)
def test_a_bad_sphere_file_is_refused_with_the_line_that_wants_it(root, tmp_path, audio, expected):
    message = refusal(tedlium(root, LINE, audio=audio), tmp_path)
    folder = root / "legacy/train"
    assert message.startswith(
        f"{folder}/stm/911Mothers_2010W.stm:1: {folder}/sph/911Mothers_2010W.sph: "
    )
    assert expected in message


# What is missing.


def test_without_the_corpus_a_page_tells_where_it_is_got(root, tmp_path):
    assert missing(TEDLIUM(root), tmp_path) == [
        f"{root}/legacy/{x}" for x in ("train", "dev", "test")
    ]
    outcome = taskaware("check", "tedlium", root)
    assert outcome.code == 2
    assert "openslr.org/51" in outcome.err
    assert "CC BY-NC-ND" in outcome.err


def test_missing_folders_and_tables_are_named(root, tmp_path):
    (root / "legacy/dev").mkdir(parents=True)
    folder = root / "legacy/dev"
    assert missing(TEDLIUM(root), tmp_path) == [f"{folder}/stm", f"{folder}/sph"]
    (folder / "stm").mkdir()
    assert missing(TEDLIUM(root), tmp_path) == [f"{folder}/sph"]
    (folder / "sph").mkdir()
    assert missing(TEDLIUM(root), tmp_path) == [f"{folder}/stm/TALK.stm"]


# Whatever stands in a table.

WORDS = ["911Mothers_2010W", "1", "0.25", "-1", "1e9", "nan", "<NA>", "<o,f0,male>", "<unk>", ";;"]
WORDS += ["inter_segment_gap", "ignore_time_segment_in_scoring", "'s", "\n", "\t", "\u2028", "\r"]


@given(st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join) | st.binary())
@example("\udcff")
@example("\n\n;;\n")
def test_any_table_is_a_result_or_a_usage_error(tmp_path_factory, table):
    content = table if isinstance(table, bytes) else table.encode(errors="surrogatepass")
    root = tmp_path_factory.getbasetemp() / "any_tedlium"
    corpus = tedlium(root, content, part="legacy/test", audio=b"")
    for strict in (True, False):
        try:
            splits = corpus.splits(strict=strict)
        except UsageError as error:
            assert len(str(error).split("\n")) == 1
        else:
            assert set(splits) == {"test"}
