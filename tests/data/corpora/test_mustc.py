import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.command_line import refused, taskaware

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("soundfile")
from support.corpus_files import left_out, missing, noise, prepared, refusal, texts, write

from taskaware.data.corpora.mustc import IWSLT, MuSTC

TALK_1, TALK_9 = noise(1.0, seed=1), noise(0.8, seed=9)
V1 = "- {duration: 0.500000, offset: 0.250000, speaker_id: spk.1, wav: ted_1.wav}\n"
V2 = "- {duration: 0.500000, offset: 0.250000, rW: 9, uW: 0, speaker_id: spk.1, wav: ted_1.wav}\n"
LATER = "- {duration: 0.1, offset: 0.8, speaker_id: spk.1, wav: ted_1.wav}\n"
FIRST = "- {duration: 0.2, offset: 0, speaker_id: spk.1, wav: ted_1.wav}\n"
OTHER = "- {duration: 0.800000, offset: 0.000000, speaker_id: spk.9, wav: ted_9.wav}\n"


def talks(table, english, german, split="train"):
    folder = f"en-de/data/{split}"
    return {
        f"{folder}/wav/ted_1.wav": TALK_1,
        f"{folder}/wav/ted_9.wav": TALK_9,
        f"{folder}/h5/ted_1.h5": b"what some releases have beside",
        f"{folder}/txt/{split}.yaml": table,
        f"{folder}/txt/{split}.en": english,
        f"{folder}/txt/{split}.de": german,
    }


@pytest.fixture
def root(tmp_path):
    return tmp_path / "MUSTC"


def mustc(root, *args, **changes):
    write(root, talks(*args) | changes)
    return MuSTC(root)


# What comes back.


@pytest.mark.parametrize("table", [V1, V2, V1.replace("\n", " \n"), V1.removesuffix("\n")])
def test_an_entry_of_either_release_is_a_stretch_of_a_talk(root, tmp_path, table):
    corpus = prepared(mustc(root, table, "Hello. (Laughter)\n", "Hallo. (Lachen)\n"), tmp_path)
    assert corpus.rows("train") == [
        ("ted_1_0", 8000, "spk.1", "Hello. (Laughter)", "Hallo. (Lachen)", "en", "de", "mustc", {})
    ]
    np.testing.assert_array_equal(corpus.audio("train", 0), TALK_1[4000:12000])


def test_segments_are_numbered_in_their_talk_by_offset_and_stay_in_their_order(root, tmp_path):
    table = LATER + OTHER + V1 + FIRST
    corpus = prepared(mustc(root, table, "d\nx\nb\na\n", "D\nX\nB\nA\n"), tmp_path)
    assert texts(corpus) == [
        ("ted_1_2", "d", "D"),
        ("ted_9_0", "x", "X"),
        ("ted_1_1", "b", "B"),
        ("ted_1_0", "a", "A"),
    ]
    assert [row.num_samples for row in corpus.rows("train")] == [1600, 12800, 8000, 3200]
    np.testing.assert_array_equal(corpus.audio("train", 1), TALK_9)


def test_a_pair_with_an_empty_side_is_left_out_and_shifts_no_id(root, tmp_path):
    table = FIRST + V1 + LATER
    corpus = prepared(mustc(root, table, "a\n \nc\n", "A\nB\nC\n"), tmp_path)
    assert texts(corpus) == [("ted_1_0", "a", "A"), ("ted_1_2", "c", "C")]
    where = root / "en-de/data/train/txt/train.yaml"
    assert left_out(corpus) == [("a side of the pair is empty", f"{where}:2")]


def test_what_is_shorter_than_a_frame_is_left_out(root, tmp_path):
    short = FIRST.replace("0.2", "0.02")
    corpus = prepared(mustc(root, short + V1, "a\nb\n", "A\nB\n"), tmp_path)
    assert texts(corpus) == [("ted_1_1", "b", "B")]
    assert left_out(corpus)[0][0] == "audio shorter than one frame"


def test_the_splits_that_are_there_have_the_names_of_all_corpora(root, tmp_path):
    for split in ("dev", "tst-COMMON", "tst-HE"):
        write(root, talks(V1, f"{split}\n", "x\n", split))
    corpus = prepared(MuSTC(root), tmp_path)
    found = {split: texts(corpus, split)[0][1] for split in corpus.splits}
    assert found == {"validation": "dev", "test": "tst-COMMON", "tst_HE": "tst-HE"}


def test_lines_end_in_a_line_feed_alone(root, tmp_path):
    odd = "\ufeffone\u2028two\x85three\x0b\x0cfour\x1cfive\rsix  seven\r\nb\r\n"
    corpus = prepared(mustc(root, FIRST + V1, odd, "\ufeffA\r\nB\n"), tmp_path)
    assert texts(corpus) == [
        ("ted_1_0", "one two three four five six seven", "A"),
        ("ted_1_1", "b", "B"),
    ]


OTHER_YAML = {
    "block style": "- duration: 0.5\n  offset: 0.25\n  speaker_id: spk.1\n  wav: ted_1.wav\n",
    "quotes": '- {duration: \'0.5\', offset: 0.25, "speaker_id": spk.1, wav: "ted_1.wav"}\n',
    "comments": f"# MuST-C\n---\n{V1}\n# end\n",
    "an indented list": f"  {V1}",
    "several lines": V1.replace(", ", ",\n    "),
    "a byte order mark": "\ufeff" + V1,
    "carriage returns": V1.replace("\n", "\r\n"),
    "json": '[{"duration": 0.5, "offset": 0.25, "speaker_id": "spk.1", "wav": "ted_1.wav"}]',
    "an exponent": V1.replace("0.500000", "5e-1").replace("0.250000", "2.5E-01"),
    "a line of Unicode": V1 + "# \u2028 \x85\n",
}


@pytest.mark.parametrize("table", OTHER_YAML.values(), ids=OTHER_YAML)
def test_the_same_in_other_yaml_is_the_same(root, tmp_path, table):
    corpus = prepared(mustc(root, table, "a\n", "A\n"), tmp_path)
    assert corpus.rows("train")[0][:3] == ("ted_1_0", 8000, "spk.1")
    np.testing.assert_array_equal(corpus.audio("train", 0), TALK_1[4000:12000])


def test_values_are_text_whatever_yaml_would_make_of_them(root, tmp_path):
    speakers = ["no", "1:30", "0x10", "2020-01-01", "~", "1_0"]
    table = "".join(
        V1.replace("spk.1", s).replace("0.25", f"0.0{i}") for i, s in enumerate(speakers)
    )
    corpus = prepared(mustc(root, table, "a\n" * 6, "A\n" * 6), tmp_path)
    assert [row.speaker for row in corpus.rows("train")] == speakers


# What is refused.

BAD_ENTRIES = {
    "key twice": (V1.replace("off", "duration: 1, off"), "each key once, found 'duration' twice"),
    "no key": (V1.replace("offset", "start"), "found no offset"),
    "two keys missing": ("- {offset: 1, wav: ted_1.wav}\n", "found no duration, no speaker_id"),
    "decimal comma": (V1.replace("0.25", "0,25"), "names, such as offset, found '250000'"),
    "words": (V1.replace("0.250000", "soon"), "offset: expected seconds, 0 or more"),
    "negative": (V1.replace("0.250000", "-0.25"), "found '-0.25'"),
    "nan": (V1.replace("0.500000", ".nan"), "duration: expected seconds, 0 or more"),
    "infinite": (V1.replace("0.500000", "1e999"), "found '1e999'"),
    "underscore": (V1.replace("0.500000", "1_0"), "found '1_0'"),
    "Arabic digits": (V1.replace("0.500000", "٠.٥"), "found '٠.٥'"),
    "empty value": (V1.replace("0.500000", ""), "found ''"),
    "null": (V1.replace("0.500000", "null"), "found 'null'"),
    "parent folder": (V1.replace("ted_1.wav", "../wav/ted_1.wav"), "expected the bare name"),
    "absolute": (V1.replace("ted_1.wav", "/etc/passwd"), "expected the bare name"),
    "backslash": (V1.replace("ted_1.wav", r"wav\ted_1.wav"), "expected the bare name"),
    "no name": (V1.replace("ted_1.wav", "''"), "expected the bare name"),
    "the folder": (V1.replace("ted_1.wav", ".."), "expected the bare name"),
    "no such file": (V1.replace("ted_1.wav", "ted_2.wav"), "no audio file 'ted_2.wav' in"),
}


@pytest.mark.parametrize(("entry", "expected"), BAD_ENTRIES.values(), ids=BAD_ENTRIES)
def test_a_bad_entry_is_refused_with_its_line(root, tmp_path, entry, expected):
    message = refusal(mustc(root, OTHER + entry, "a\nb\n", "A\nB\n"), tmp_path)
    assert message.startswith(f"{root}/en-de/data/train/txt/train.yaml:2: ")
    assert expected in message


BAD_YAML = {
    "nested value": (V1.replace("spk.1", "[a, b]"), "nothing deeper, found sequencestart"),
    "nested mapping": (V1.replace("spk.1", "{a: b}"), "nothing deeper, found mappingstart"),
    "alias": (V1.replace("spk.1", "*a"), "nothing deeper, found alias"),
    "list in a list": ("- [a, b]\n", "nothing deeper, found sequencestart"),
    "scalar": ("- a\n", "nothing deeper, found scalar"),
    "cut": ("- {duration: 0.5, off", "expected YAML, did not find expected ',' or '}'"),
    "tabs": ("\t- {a: b}\n", "expected YAML, "),
    "deep": ("- " + "[" * 500, "nothing deeper, found sequencestart"),
    "deeper than libyaml": ("- " + "[" * 100_000, "expected YAML, exceeded maximum nesting depth"),
    "control character": (V1.replace("spk", "s\x01"), "control characters are not allowed"),
    "NUL": (V1.replace("spk", "s\0"), "found a NUL character"),
    "not UTF-8": (V1.encode().replace(b"spk", b"\xe4"), "expected UTF-8, found byte 0xe4"),
}


@pytest.mark.parametrize(("entry", "expected"), BAD_YAML.values(), ids=BAD_YAML)
def test_what_is_no_list_of_entries_is_refused_with_its_line(root, tmp_path, entry, expected):
    entry = entry.encode() if isinstance(entry, str) else entry
    message = refusal(mustc(root, OTHER.encode() + entry, "a\nb\n", "A\nB\n"), tmp_path)
    assert message.startswith(f"{root}/en-de/data/train/txt/train.yaml:2: ")
    assert expected in message


def test_the_line_of_an_error_is_counted_in_line_feeds(root, tmp_path):
    table = f"# \u2028 \x85 \r \n{OTHER}{V1.replace('spk.1', '[a]')}{OTHER * 9}"
    message = refusal(mustc(root, table, "a\nb\n", "A\nB\n"), tmp_path)
    assert "/train.yaml:3: " in message


def test_a_mapping_instead_of_a_list_is_refused(root, tmp_path):
    message = refusal(mustc(root, "duration: 1\noffset: 2\n", "a\n", "A\n"), tmp_path)
    assert "train.yaml:1: expected a list of entries" in message


@pytest.mark.parametrize(
    ("table", "english", "german", "counts"),
    [
        (V1 + OTHER, "a\n", "A\nB\n", (2, 1, 2)),
        (V1 + OTHER, "a\nb\n", "A\nB\nC", (2, 2, 3)),
        (V1, "a\nb\n", "A\nB\n", (1, 2, 2)),
        (V1 + OTHER, "a\u2028b\n", "A\nB\n", (2, 1, 2)),
        (V1 + OTHER, "a\rb\n", "A\nB\n", (2, 1, 2)),
        (V1 + OTHER, "a\x85b\n", "A\nB\n", (2, 1, 2)),
        (V1, "", "A\n", (1, 0, 1)),
        ("", "a\n", "A\n", (0, 1, 1)),
    ],
)
def test_files_of_unequally_many_lines_are_refused(root, tmp_path, table, english, german, counts):
    message = refusal(mustc(root, table, english, german), tmp_path)
    found = "{} in train.yaml, {} in train.en, {} in train.de".format(*counts)
    assert message.startswith(
        f"{root}/en-de/data/train/txt/train.yaml: expected equally many lines"
    )
    assert f"found {found};" in message


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        (b"a\nb\xfc\n", "train.en:2: expected UTF-8, found byte 0xfc at byte 2"),
        (b"a\n\xed\xa0\x80\n", "train.en:2: expected UTF-8, found byte 0xed at byte 1"),
        (b"a\nb\0\n", "train.en:2: expected text, found a NUL character"),
        ("a\n".encode("utf-16") + b"\n", "train.en:1: expected UTF-8, found byte 0xff at byte 1"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(root, tmp_path, english, expected):
    message = refusal(mustc(root, FIRST + V1, english, "A\nB\n"), tmp_path)
    assert f"{root}/en-de/data/train/txt/{expected}" in message


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            V1.replace("0.500000", "1.76"),
            "expected a stretch of its 1.00 s, found 0.25 s to 2.01 s",
        ),
        (V1.replace("0.250000", "7"), "expected a stretch of its 1.00 s, found 7.00 s to 7.50 s"),
    ],
)
def test_a_segment_beyond_the_end_of_its_talk_is_refused(root, tmp_path, entry, expected):
    message = refusal(mustc(root, OTHER + entry, "a\nb\n", "A\nB\n"), tmp_path)
    folder = root / "en-de/data/train"
    assert message.startswith(f"{folder}/txt/train.yaml:2: {folder}/wav/ted_1.wav: {expected}")


def test_bad_examples_can_be_left_out(root, tmp_path):
    beyond, no_number = V1.replace("0.250000", "7"), LATER.replace("0.8", "x")
    no_file = V1.replace("ted_1", "ted_2")
    english = b"a\nb\nc\nd\xe4\ne\n"
    table = beyond + no_number + no_file + FIRST + OTHER
    corpus = prepared(mustc(root, table, english, "A\nB\nC\nD\nE\n"), tmp_path, skip_bad=True)
    assert texts(corpus) == [("ted_9_0", "e", "E")]
    assert [reason for reason, _ in left_out(corpus)] == ["audio", "row", "row", "row"]


def test_checking_tells_twenty_of_a_kind(root):
    table = "".join(V1.replace("0.250000", f"-{i}") for i in range(1, 26)) + OTHER
    mustc(root, table, "a\n" * 26, "A\n" * 26)
    outcome = taskaware("check", "mustc", root, "--workers", "1")
    assert refused(outcome).startswith("25 examples cannot be read; ")
    listed = [line for line in outcome.out.splitlines() if "train.yaml:" in line]
    assert [line.partition(": ")[0].rpartition(":")[2] for line in listed] == [
        str(i) for i in range(1, 21)
    ]
    assert "… and 5 more of this kind (row)\n1 examples can be used\n" in outcome.out


# What is missing.


def test_without_the_corpus_a_page_tells_where_it_is_got(root, tmp_path):
    names = ("train", "dev", "tst-COMMON", "tst-HE")
    assert missing(MuSTC(root), tmp_path) == [f"{root}/en-de/data/{name}" for name in names]
    outcome = taskaware("prepare", "mustc", root, "--out", tmp_path / "out")
    assert outcome.code == 2
    for part in ("https://mt.fbk.eu/must-c/", "CC BY-NC-ND", "DATA_DIR/en-de/data/train/wav"):
        assert part in outcome.err


@pytest.mark.parametrize("name", ["txt/train.yaml", "txt/train.en", "txt/train.de"])
def test_a_missing_file_is_named(root, tmp_path, name):
    corpus = mustc(root, V1, "a\n", "A\n", **{f"en-de/data/train/{name}": None})
    assert missing(corpus, tmp_path) == [f"{root}/en-de/data/train/{name}"]


def test_another_language_has_another_folder(root, tmp_path):
    mustc(root, V1, "a\n", "A\n")
    assert missing(MuSTC(root, "fr"), tmp_path)[0] == f"{root}/en-fr/data/train"


def test_preparing_shows_what_the_paper_had(root, tmp_path):
    mustc(root, V1, "a\n", "A\n")
    outcome = taskaware("prepare", "mustc", root, "--out", tmp_path / "out", "--workers", "1")
    assert outcome.code == 0
    assert (
        "paper's train split of it: ST 229,703 and ASR 229,702 examples, 400 hours" in outcome.out
    )


# The IWSLT data.


def iwslt(root, *stems):
    files = {"wav/ted_1.wav": TALK_1}
    for stem in stems:
        files |= {f"parallel/{stem}.yaml": FIRST + V1}
        files |= {f"parallel/{stem}.en": f"{stem}\nb\n", f"parallel/{stem}.de": "A\n\n"}
    return write(root, files)


def test_iwslt_has_all_its_sets_in_one_folder(root, tmp_path):
    corpus = prepared(IWSLT(iwslt(root, "train", "dev2010", "tst2013", "tst2014")), tmp_path)
    assert set(corpus.splits) == {"train", "validation", "tst2013", "tst2014"}
    assert corpus.rows("validation") == [
        ("ted_1_0", 3200, "spk.1", "dev2010", "A", "en", "de", "iwslt", {})
    ]
    np.testing.assert_array_equal(corpus.audio("tst2013", 0), TALK_1[:3200])
    assert left_out(corpus, "tst2014") == [
        ("a side of the pair is empty", f"{root}/parallel/tst2014.yaml:2")
    ]


def test_another_set_of_iwslt_can_validate(root, tmp_path):
    corpus = prepared(IWSLT(iwslt(root, "dev2010", "tst2013"), "tst2013"), tmp_path)
    assert texts(corpus, "validation")[0][1] == "tst2013"
    assert set(corpus.splits) == {"validation", "dev2010"}


def test_what_iwslt_lacks_is_named(root, tmp_path):
    assert missing(IWSLT(root), tmp_path) == [f"{root}/parallel"]
    (root / "parallel").mkdir(parents=True)
    assert missing(IWSLT(root), tmp_path) == [f"{root}/parallel/train.yaml"]
    (iwslt(root, "train") / "parallel/train.de").unlink()
    assert missing(IWSLT(root), tmp_path) == [f"{root}/parallel/train.de"]


# Whatever stands in the files.

PIECES = ["- {", "}", ", ", ": ", "\n", "  ", "[", "]", "*a", "&a ", "'", '"', "\t", "#", "---\n"]
PIECES += ["|", ">", "%", "!", "?", "\r", "\u2028", "\x85", "\ufeff", "\x01", "\ud7ff", "😀"]
PIECES += ["duration", "offset", "speaker_id", "wav", "ted_1.wav", "0.25", "-1", V1, V2, OTHER]


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text(), st.text(), st.text())
@example("- ? {a: b}\n  : c\n", "", "")
@example("- {? , : }\n", "a", "A")
@example("- {a: &b c, d: *b}", "a", "A")
@example("%YAML 3.0\n---\n- {}\n", "a", "A")
@example("--- []\n--- []\n...\n", "", "")
@example("- {duration: !!python/object:os.system x}", "a", "A")
def test_any_text_is_a_result_or_a_usage_error(tmp_path_factory, table, english, german):
    def encoded(text):
        return text.encode(errors="surrogatepass")

    root = tmp_path_factory.getbasetemp() / "any_mustc"
    folder = root / "en-de/data/dev"
    write(
        root,
        {
            f"{folder}/txt/dev.yaml": encoded(table),
            f"{folder}/txt/dev.en": encoded(english),
            f"{folder}/txt/dev.de": encoded(german),
            f"{folder}/wav/ted_1.wav": b"",
        },
    )
    for strict in (True, False):
        try:
            splits = MuSTC(root).splits(strict=strict)
        except UsageError as error:
            assert len(str(error).split("\n")) == 1
        else:
            assert set(splits) == {"validation"}
