import numpy as np
import pytest
from support.command_line import taskaware

pytest.importorskip("tensorflow_datasets")
soundfile = pytest.importorskip("soundfile")
from support.corpus_files import left_out, missing, noise, prepared, refusal, texts, write  # noqa: E402

from taskaware.data.corpora.librispeech import LibriSpeech  # noqa: E402

CHAPTER = "train-clean-100/103/1240"
FIRST, SECOND = noise(0.5, seed=1), noise(0.3, seed=2)
TABLE = "103-1240-0000 CHAPTER ONE MISSUS RACHEL\n103-1240-0001 THAT'S HER BROOK\n"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "LibriSpeech"


def chapter(root, table=TABLE, folder=CHAPTER, suffix="flac"):
    files = {
        f"{folder}/103-1240.trans.txt": table,
        f"{folder}/103-1240-0000.{suffix}": FIRST,
        f"{folder}/103-1240-0001.{suffix}": SECOND,
        "SPEAKERS.TXT": "; comment\n103  | F | train-clean-100  | 24.01 | Karen Savage\n",
    }
    return write(root, files)


# What comes back.


def test_an_utterance_is_a_file_and_a_line_of_its_chapter(root, tmp_path):
    corpus = prepared(LibriSpeech(chapter(root)), tmp_path)
    about = ("en", "", "librispeech", {})
    assert corpus.rows("train") == [
        ("103-1240-0000", 8000, "103", "chapter one missus rachel", "", *about),
        ("103-1240-0001", 4800, "103", "that's her brook", "", *about),
    ]
    np.testing.assert_array_equal(corpus.audio("train", 1), SECOND)


def test_capitals_stay_on_demand(root, tmp_path):
    corpus = prepared(LibriSpeech(chapter(root), lowercase=False), tmp_path)
    assert corpus.rows("train")[1].source_text == "THAT'S HER BROOK"


@pytest.mark.parametrize("suffix", ["wav", "ogg", "opus"])
def test_copies_in_other_formats_are_read(root, tmp_path, suffix):
    if suffix == "opus":
        chapter(root)
        for path in root.glob(f"{CHAPTER}/*.flac"):
            soundfile.write(path.with_suffix(".opus"), noise(0.5), 16000, "OPUS", format="OGG")
            path.unlink()
    else:
        chapter(root, suffix=suffix)
    corpus = prepared(LibriSpeech(root), tmp_path)
    assert [row.id for row in corpus.rows("train")] == ["103-1240-0000", "103-1240-0001"]


def test_any_folder_that_is_named_is_trained_on(root, tmp_path):
    for name in ("train-clean-100", "dev-other", "dev-clean"):
        chapter(root, TABLE.replace("BROOK", name.upper()), f"{name}/103/1240")
    corpus = prepared(LibriSpeech(root, subsets=("dev-other",)), tmp_path)
    last = {split: corpus.rows(split)[-1].source_text.split()[-1] for split in corpus.splits}
    assert last == {"train": "dev-other", "validation": "dev-clean"}


def test_the_folders_are_splits_and_those_to_train_on_can_be_chosen(root, tmp_path):
    names = ("train-clean-100", "train-other-500", "dev-clean", "dev-other", "test-clean-2")
    for name in names:
        chapter(root, TABLE.replace("BROOK", name.upper()), f"{name}/103/1240")
    corpus = prepared(LibriSpeech(root, subsets=("train-other-500",)), tmp_path)
    last = {split: corpus.rows(split)[-1].source_text.split()[-1] for split in corpus.splits}
    assert last == {
        "train": "train-other-500",
        "validation": "dev-clean",
        "dev_other": "dev-other",
        "test": "test-clean-2",
    }
    assert len(corpus.rows("train")) == 2


def test_all_that_is_to_train_on_is_joined(root, tmp_path):
    chapter(root)
    folder = "train-other-500/20/205"
    write(
        root, {f"{folder}/20-205.trans.txt": "20-205-0000 A\n", f"{folder}/20-205-0000.flac": FIRST}
    )
    corpus = prepared(LibriSpeech(root), tmp_path)
    assert [row.speaker for row in corpus.rows("train")] == ["103", "103", "20"]


def test_an_empty_transcript_is_left_out(root, tmp_path):
    corpus = prepared(LibriSpeech(chapter(root, TABLE.replace("THAT'S HER BROOK", ""))), tmp_path)
    assert texts(corpus) == [("103-1240-0000", "chapter one missus rachel", "")]
    assert left_out(corpus) == [
        ("the transcript is empty", f"{root}/{CHAPTER}/103-1240.trans.txt:2")
    ]


# What is refused.

BAD = {
    "other chapter": (TABLE.replace("103-1240-0001", "103-1241-0001"), ":2: expected an id of"),
    "no id": (TABLE.replace("103-1240-0001 ", ""), ":2: expected an id of chapter 103-1240"),
    "empty line": (TABLE.replace("\n", "\n\n", 1), ":2: expected an id of chapter 103-1240"),
    "no file": (TABLE.replace("0001", "0002"), ":2: no audio file '103-1240-0002.flac' or '103"),
    "path": (TABLE.replace("0001", "/../x"), ":2: expected the bare name of an audio file"),
    "twice": (TABLE + TABLE[-31:], ":3: id '103-1240-0001' stands twice in its split"),
    "no line": (TABLE[:38], ": expected a line on the audio file 103-1240-0001.flac, found none"),
    "NUL": (TABLE.replace("HER", "\0"), ":2: expected text, found a NUL character"),
    "UTF-16": (TABLE.encode("utf-16"), ":1: expected UTF-8, found byte 0xff at byte 1"),
}


@pytest.mark.parametrize(("table", "expected"), BAD.values(), ids=BAD)
def test_a_bad_line_is_refused_and_named(root, tmp_path, table, expected):
    message = refusal(LibriSpeech(chapter(root, table)), tmp_path)
    assert message.startswith(f"{root}/{CHAPTER}/103-1240.trans.txt{expected}")


def test_a_cut_flac_is_refused_with_its_line(root, tmp_path):
    path = chapter(root) / CHAPTER / "103-1240-0001.flac"
    path.write_bytes(path.read_bytes()[:3000])
    message = refusal(LibriSpeech(root), tmp_path)
    assert message.startswith(f"{root}/{CHAPTER}/103-1240.trans.txt:2: {path}: ")


# What is missing.


def test_without_the_corpus_a_page_tells_where_it_is_got(root, tmp_path):
    assert missing(LibriSpeech(root), tmp_path) == [str(root)]
    root.mkdir()
    assert missing(LibriSpeech(root), tmp_path) == [f"{root}/train-clean-100"]
    outcome = taskaware("prepare", "librispeech", root, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "openslr.org/12" in outcome.err
    assert "CC BY 4.0" in outcome.err


def test_a_subset_that_is_not_there_is_named(root, tmp_path):
    corpus = LibriSpeech(chapter(root), subsets=("train-clean-100", "train-clean-360"))
    assert missing(corpus, tmp_path) == [f"{root}/train-clean-360"]
    (root / "train-clean-360").mkdir()
    assert missing(corpus, tmp_path)[0].startswith(f"{root}/train-clean-360/READER/")


# Real recordings.


def real(shared_data, name):
    if not (shared_data / name).is_dir():
        pytest.skip(f"needs real recordings in ../shared/data/{name}")
    return shared_data / name / "LibriSpeech"


def test_real_chapters_are_read(shared_data, tmp_path):
    corpus = prepared(LibriSpeech(real(shared_data, "librispeech_sample")), tmp_path)
    rows = corpus.rows("train")
    assert len(rows) == 38
    assert {row.speaker for row in rows} == {"32", "1737"}
    assert rows[0].id == "1737-146161-0000"
    assert rows[0].source_text.startswith("knit two together knit three make one knit one")
    # The folder's own note counts 7.7 minutes.
    assert sum(row.num_samples for row in rows) / 16000 / 60 == pytest.approx(7.7, abs=0.05)


def test_real_chapters_are_read_from_opus(shared_data):
    corpus = LibriSpeech(real(shared_data, "librispeech_12s"))
    shards = corpus.splits(strict=True)["train"]
    assert len(shards) == 3  # 424 utterances by 200
    example = next(iter(shards[2]()))
    assert example.source_text == example.source_text.lower()
    assert 0.5 < len(example.audio) / 16000 < 12.1
