import gzip
import pickle
import tempfile
import tracemalloc
from pathlib import Path
from unicodedata import category

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.command_line import refused, taskaware

from taskaware.errors import UsageError

tfds = pytest.importorskip("tensorflow_datasets")
from support.parallel_files import (  # noqa: E402
    ENGLISH,
    GERMAN,
    PAIRS,
    ROMANIAN,
    TABLE,
    TRAIN,
    left_out,
    prepared,
    refusal,
    texts,
    write,
)

from taskaware.data.corpora import parallel  # noqa: E402
from taskaware.data.corpora.parallel import Parallel  # noqa: E402
from taskaware.data.corpora.write import prepare_corpus  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "My-Talks 2"
    folder.mkdir()
    return folder


# What comes back.


def test_each_line_gives_an_example_for_each_target(folder):
    corpus = prepared(write(folder, en=ENGLISH, de=GERMAN, ro=ROMANIAN), "en de ro")
    german, romanian = (("en", language, "my_talks_2", {}) for language in ("de", "ro"))
    assert corpus.splits == ("train",)
    assert corpus.rows("train") == [
        ("train-0000001-de", 0, "", "good day", "guten Tag", *german),
        ("train-0000001-ro", 0, "", "good day", "bună ziua", *romanian),
        ("train-0000002-de", 0, "", "good night", "gute Nacht", *german),
        ("train-0000002-ro", 0, "", "good night", "noapte bună", *romanian),
    ]
    assert corpus.audio("train", 3).size == 0


def test_the_first_language_is_the_source_and_not_all_files_need_be_taken(folder):
    corpus = prepared(write(folder, en=ENGLISH, de=GERMAN, ro=ROMANIAN), "ro en")
    assert texts(corpus) == [("bună ziua", "good day"), ("noapte bună", "good night")]
    assert corpus.rows("train")[1][5:7] == ("ro", "en")


@pytest.mark.parametrize("ending", ["tsv", "tsv.gz"])
def test_a_table_says_the_same_as_a_file_a_language(folder, tmp_path, ending):
    in_files = prepared(write(folder, en=ENGLISH, de=GERMAN, ro=ROMANIAN), "en de ro")
    (other := tmp_path / "b" / folder.name).mkdir(parents=True)
    in_table = prepared(write(other, **{ending: TABLE}), "en de ro")
    assert in_table.rows("train") == in_files.rows("train")


def test_some_files_may_be_gzipped_and_others_not(folder):
    write(folder, en=ENGLISH, **{"de.gz": GERMAN})
    assert texts(prepared(folder)) == PAIRS


def test_each_split_has_files_of_its_own_and_of_either_kind(folder):
    write(folder, en=ENGLISH, de=GERMAN)
    (folder / "dev.2.tsv").write_text("yes\tja\n")
    corpus = prepared(folder, splits=TRAIN | {"validation": ("dev.2",)})
    assert set(corpus.splits) == {"train", "validation"}
    assert corpus.rows("validation")[0].id == "dev.2-0000001-de"
    assert texts(corpus, "validation") == [("yes", "ja")]


def test_lines_end_in_a_line_feed_alone_and_white_space_becomes_one_space(folder):
    odd = " He\u2028said \t\x0c\x85 'no'\r\r\n\x1cdone\xa0\u3000it \n"
    corpus = prepared(write(folder, en=odd, de=GERMAN))
    assert texts(corpus) == [("He said 'no'", "guten Tag"), ("done it", "gute Nacht")]


def test_quotes_stay_in_the_text_of_a_table(folder):
    write(folder, tsv='"he said\t""ja"\n\'\\n\\t\t"\n')
    assert texts(prepared(folder)) == [('"he said', '""ja"'), ("'\\n\\t", '"')]


def test_a_byte_order_mark_and_carriage_returns_are_no_text(folder):
    english, german = ("\ufeff" + text.replace("\n", "\r\n") for text in (ENGLISH, GERMAN))
    assert texts(prepared(write(folder, en=english, de=german))) == PAIRS


def test_the_last_line_may_lack_its_end(folder):
    assert texts(prepared(write(folder, en=ENGLISH[:-1], de=GERMAN))) == PAIRS


WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\n\ufeff"))


def is_seen(text):
    return any(not letter.isspace() and category(letter) not in ("Cf", "Cc") for letter in text)


@given(lines=st.lists(st.tuples(WORDS, WORDS), max_size=8), end=st.sampled_from(["", ".gz"]))
@example(lines=[("\u200b \u2060", "a"), ("\u200ba", "\u00ad\ufe0f")], end="")
@example(lines=[("a\x85\r", "\x1e\u2029b\r\r"), ("", "c"), ("d\t", "\x0be")], end="")
def test_any_text_comes_back_with_single_spaces(lines, end):
    lines = [("first", "erste"), *lines]
    expected = [tuple(" ".join(text.split()) for text in line) for line in lines]
    english, german = ("".join(f"{text}\n" for text in side) for side in zip(*lines, strict=True))
    with tempfile.TemporaryDirectory() as place:
        (folder := Path(place, "in")).mkdir()
        corpus, told = left_out(write(folder, **{f"en{end}": english, f"de{end}": german}))
        assert texts(corpus) == [pair for pair in expected if all(map(is_seen, pair))]
        assert len(told) == sum(not all(map(is_seen, pair)) for pair in expected)
        numbers = [int(row.id.split("-")[1]) for row in corpus.rows("train")]
        assert [expected[number - 1] for number in numbers] == texts(corpus)


@pytest.mark.parametrize(
    ("name", "corpus"),
    [("WMT-14", "wmt_14"), ("...", "parallel"), ("Förder.Türk", "förder_türk"), ("_a_", "a")],
)
def test_the_corpus_is_named_after_the_folder(tmp_path, monkeypatch, name, corpus):
    (tmp_path / name).mkdir()
    write(tmp_path / name, en=ENGLISH, de=GERMAN)
    monkeypatch.chdir(tmp_path / name)
    found = prepare_corpus(Parallel(Path("."), ("en", "de"), ("train",)), tmp_path / "out")
    assert found.rows("train")[0].corpus == corpus


# Pairs that are left out.


def test_a_pair_with_an_empty_side_is_left_out_and_counted(folder):
    write(folder, en="a\n \nc\n\n", de="A\nB\n\xa0\n\n", ro="ah\nbe\nce\n\n")
    corpus, told = left_out(folder, "en de ro")
    assert told == [f"{folder}/train.en:{line}" for line in (2, 2, 3, 4, 4)]
    assert [(row.id, row.target_text) for row in corpus.rows("train")] == [
        ("train-0000001-de", "A"),
        ("train-0000001-ro", "ah"),
        ("train-0000003-ro", "ce"),
    ]


def test_an_empty_field_of_a_table_leaves_the_other_targets(folder):
    corpus, told = left_out(write(folder, tsv="a\t\tah\n\tB\tbe\n"), "en de ro")
    assert texts(corpus) == [("a", "ah")]
    assert told == [f"{folder}/train.tsv:{line}" for line in (1, 2, 2)]


@pytest.mark.parametrize(
    "nothing", ["\u200b", "\ufeff \u2060", "\u00ad\u200e\u202c", "\x1c\u2028", "\x1a"]
)
def test_a_side_of_which_nothing_can_be_seen_is_empty(folder, nothing):
    corpus, told = left_out(write(folder, en=f"a\n{nothing}\nc\u200bd\n", de="A\nB\nC\n"))
    assert texts(corpus) == [("a", "A"), ("c\u200bd", "C")]
    assert told == [f"{folder}/train.en:2"]


@pytest.mark.parametrize("texts", [("", ""), ("\n\n", "a\nb\n"), ("a\n\n", "\nb\n")])
def test_a_split_without_a_whole_pair_is_refused(folder, texts):
    message = refusal(write(folder, en=texts[0], de=texts[1]))
    assert message.startswith(f"{folder}/train.en: expected lines with a text and its translation")


# Shards.


@pytest.mark.parametrize(("size", "shards"), [(9, [14, 14, 4]), (10, [16, 16]), (99, [32])])
def test_examples_are_kept_in_order_over_several_shards(folder, monkeypatch, size, shards):
    monkeypatch.setattr(parallel, "TEXTS_PER_SHARD", size)
    lines = [f"{i}\n" if i % 5 else "\n" for i in range(20)]
    corpus = prepared(write(folder, en="".join(lines), de="x\n" * 20, ro="y\n" * 20), "en de ro")
    written = tfds.builder_from_directory(corpus.directory).info.splits["train"]
    assert written.shard_lengths == shards
    assert texts(corpus) == [(f"{i}", target) for i in range(20) if i % 5 for target in "xy"]
    assert all(corpus.audio("train", i).size == 0 for i in range(32))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_each_shard_reads_its_own_part_alone(folder, monkeypatch, ending):
    monkeypatch.setattr(parallel, "TEXTS_PER_SHARD", 3)
    write(folder, **{f"en{ending}": "\ufeffä\n" * 8, f"de{ending}": "b\u2028c\n" * 8})
    shards = Parallel(folder, ("en", "de"), ("train",)).splits(strict=True)["train"]
    ids = [[example.id for example in pickle.loads(pickle.dumps(shard))()] for shard in shards]
    assert [part[0] for part in ids] == [f"train-000000{i}-de" for i in (1, 4, 7)]
    assert [len(part) for part in ids] == [3, 3, 2]


def test_several_stems_are_joined(folder):
    write(folder, en=ENGLISH, de=GERMAN)
    (folder / "more.tsv").write_text("yes\tja\n")
    corpus = prepared(folder, splits={"train": ("train", "more"), "test": ("more",)})
    assert texts(corpus) == [*PAIRS, ("yes", "ja")]
    assert [row.id for row in corpus.rows("train")][1:] == ["train-0000002-de", "more-0000001-de"]
    assert texts(corpus, "test") == [("yes", "ja")]


def test_a_stem_that_stands_twice_is_refused(folder):
    write(folder, en=ENGLISH, de=GERMAN)
    message = refusal(folder, splits={"train": ("train", "train")})
    assert message == "train: expected each stem once, found train train"


def test_a_table_s_columns_may_stand_in_another_order(folder):
    write(folder, tsv="guten Tag\tbună ziua\tgood day\n")
    corpus = prepared(folder, "en de ro", columns=("de", "ro", "en"))
    assert texts(corpus) == [("good day", "guten Tag"), ("good day", "bună ziua")]
    for columns in (("de", "en"), ("de", "en", "tr"), ("de", "de", "ro")):
        with pytest.raises(UsageError, match=r"columns: expected the languages en de ro in"):
            prepared(folder, "en de ro", columns=columns)


def test_checking_keeps_no_text_in_memory(folder):
    write(folder, en=("word " * 200 + "\n") * 2_000, de=("Wort " * 200 + "\n") * 2_000)
    tracemalloc.start()
    try:
        splits = Parallel(folder, ("en", "de"), ("train",)).splits(strict=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(splits["train"]) == 1
    assert peak < 400_000  # of 4 million bytes


# The command.


def test_the_command_tells_what_it_wrote_and_what_it_left_out(folder, tmp_path):
    write(folder, en=ENGLISH + "\n", de=GERMAN + "ja\n", ro=ROMANIAN + "da\n")
    (folder / "val.tsv").write_text("yes\tja\tda\n")
    argv = ["prepare", "parallel", folder, "--out", tmp_path / "out", "--languages", "en", "de"]
    outcome = taskaware(*argv, "ro", "--train", "train", "--validation", "val", "--test", "val")
    assert (outcome.code, outcome.err) == (0, "")
    *progress, end = outcome.out.splitlines()
    assert end == f"{tmp_path}/out: ready"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in progress if "│" in line]
    assert cells == [
        ["train", "4", "0.00", "0.0", "16", "100.0%", "2 a side of the pair is empty"],
        ["validation", "2", "0.00", "0.0", "4", "0.0%", "–"],
        ["test", "2", "0.00", "0.0", "4", "0.0%", "–"],
    ]


def test_the_command_needs_no_more_than_training_text(folder, tmp_path):
    argv = ["prepare", "parallel", folder, "--out", tmp_path / "out", "--languages", "en", "de"]
    assert "found no train.en, no train.de" in refused(taskaware(*argv, "--train", "train"))
    write(folder, en=ENGLISH, de=GERMAN)
    assert taskaware(*argv, "--train", "train").out.endswith("/out: ready\n")
    assert "found none" in refused(taskaware(*argv[:3], "--out", tmp_path / "b", *argv[5:]))


def test_checking_tells_what_preparing_would_leave_out(folder):
    write(folder, en="a\n\nc\n", de="A\nB\n\n")
    outcome = taskaware("check", "parallel", folder, "--languages", "en", "de", "--train", "train")
    assert outcome.out.splitlines()[-2:] == [
        "2 would be left out: a side of the pair is empty",
        "1 examples can be used",
    ]


# Real text.


def real(shared_data, name):
    if not (shared_data / name).is_dir():
        pytest.skip(f"needs real text in ../shared/data/{name}")
    return shared_data / name


@pytest.mark.parametrize("train", [{}, pytest.param({"train": ("train",)}, marks=pytest.mark.long)])
def test_multi30k_is_read_from_gzipped_files(shared_data, tmp_path, train):
    folder = real(shared_data, "multi30k")
    splits = {"validation": ("val",), "test": ("test_2016_flickr",), **train}
    corpus = prepare_corpus(Parallel(folder, ("en", "de"), **splits), tmp_path / "out")
    sizes = {split: len(corpus.rows(split)) for split in corpus.splits}
    assert sizes == {"validation": 1_014, "test": 1_000} | dict.fromkeys(train, 29_000)
    assert corpus.rows("test")[0].source_text.startswith("A man in an orange hat starring at")
    assert corpus.rows("test")[0].target_text.startswith("Ein Mann mit einem orangefarbenen Hut")


@pytest.mark.parametrize(
    ("part", "count", "distinct"),
    [("dev", 2_817, None), pytest.param("train", 9_942, 9_942, marks=pytest.mark.long)],
)
def test_sts_is_read_from_a_gzipped_table(shared_data, tmp_path, part, count, distinct):
    folder = real(shared_data, "sts_de_ro_tr")
    splits = {"test": (f"sts.{part}.en-de-ro-tr",)}
    languages = ("en", "de", "ro", "tr")
    corpus = prepare_corpus(Parallel(folder, languages, **splits), tmp_path / "out")
    rows = corpus.rows("test")
    assert len(rows) == 3 * count
    assert distinct in (None, len({row.source_text for row in rows}))
    content = gzip.decompress((folder / f"sts.{part}.en-de-ro-tr.tsv.gz").read_bytes()).decode()
    last = content.removesuffix("\n").split("\n")[-1].split("\t")
    assert [row.source_text for row in rows[-3:]] == [last[0]] * 3
    assert [row.target_text for row in rows[-3:]] == last[1:]
