import numpy as np
import pytest
from support.command_line import taskaware

pytest.importorskip("tensorflow_datasets")
pytest.importorskip("soundfile")
from support.corpus_files import left_out, missing, noise, prepared, refusal, texts, write

from taskaware.data.corpora.europarl_st import EuroparlST

SPEECH = noise(1.0)
NAME = "en.20081119.13.3-141"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "v1.1"


def europarl(root, listed, english, german, part="train"):
    folder = f"en/de/{part}"
    files = {
        f"en/audios/{NAME}.wav": SPEECH,
        "en/audios/en.2.flac": SPEECH[:8000],
        f"{folder}/segments.lst": listed,
        f"{folder}/segments.en": english,
        f"{folder}/segments.de": german,
        f"{folder}/segments.tok.en": "tokenized copies do not count\n",
        f"{folder}/speeches.lst": f"{NAME}\nen.2\n",
        f"{folder}/speakers.lst": "Some One_123\nOther_9\n",
    }
    return EuroparlST(write(root, files))


ONE = f"{NAME} 0.25 0.75\n"


# What comes back.


def test_a_line_is_a_stretch_of_a_speech(root, tmp_path):
    corpus = prepared(europarl(root, ONE, "Mr President,\n", "Herr Präsident,\n"), tmp_path)
    assert corpus.rows("train") == [
        (
            f"{NAME}_1",
            8000,
            "Some One_123",
            "Mr President,",
            "Herr Präsident,",
            "en",
            "de",
            "europarl_st",
            {},
        )
    ]
    np.testing.assert_array_equal(corpus.audio("train", 0), SPEECH[4000:12000])


def test_speakers_are_listed_by_speech_and_not_by_segment(root, tmp_path):
    listed = f"{NAME} 0 0.5\n" + ONE + "en.2 0 0.5\n"
    corpus = prepared(europarl(root, listed, "a\nb\nc\n", "A\nB\nC\n"), tmp_path)
    assert [row.speaker for row in corpus.rows("train")] == ["Some One_123"] * 2 + ["Other_9"]
    assert [row.id for row in corpus.rows("train")] == [f"{NAME}_1", f"{NAME}_2", "en.2_3"]


def test_without_a_list_of_speakers_there_is_none(root, tmp_path):
    corpus = europarl(root, ONE, "a\n", "A\n")
    (root / "en/de/train/speakers.lst").unlink()
    assert prepared(corpus, tmp_path).rows("train")[0].speaker == ""


def test_the_channel_that_is_not_empty_is_taken_whole(root, tmp_path):
    corpus = europarl(root, ONE, "a\n", "A\n")
    stereo = np.stack([np.zeros_like(SPEECH), SPEECH], axis=1)
    write(root, {f"en/audios/{NAME}.wav": stereo})
    audio = prepared(corpus, tmp_path).audio("train", 0)
    np.testing.assert_array_equal(audio, SPEECH[4000:12000])


def test_a_pair_with_an_empty_side_is_left_out_and_shifts_no_id(root, tmp_path):
    corpus = prepared(europarl(root, ONE + ONE, "a\nb\n", "\nB\u2028C\n"), tmp_path)
    assert texts(corpus) == [(f"{NAME}_2", "b", "B C")]
    where = f"{root}/en/de/train/segments.lst:1"
    assert left_out(corpus) == [("a side of the pair is empty", where)]


def test_the_folders_that_are_there_are_splits(root, tmp_path):
    for part in ("dev", "test", "train-noisy"):
        europarl(root, ONE, f"{part}\n", "A\n", part)
    corpus = prepared(EuroparlST(root), tmp_path)
    assert {split: texts(corpus, split)[0][1] for split in corpus.splits} == {
        "validation": "dev",
        "test": "test",
    }


# What is refused.

BAD = {
    "two fields": (f"{NAME} 0.25\n", "expected NAME START END, found 2 fields"),
    "four fields": (f"{NAME} 0.25 0.5 a\n", "expected NAME START END, found 4 fields"),
    "empty line": ("\n", "expected NAME START END, found 0 fields"),
    "start": (f"{NAME} a 0.5\n", "start: expected seconds, 0 or more"),
    "negative": (f"{NAME} -0.1 0.5\n", "found '-0.1'"),
    "order": (f"{NAME} 0.5 0.25\n", "expected an end after the start 0.5 s, found 0.25 s"),
    "suffix": (f"{NAME}.wav 0.25 0.5\n", f"no audio file '{NAME}.wav.wav' or '{NAME}.wav.flac' or"),
    "path": (f"../audios/{NAME} 0.25 0.5\n", "expected the bare name of an audio file"),
    "beyond the end": (f"{NAME} 0.25 2.1\n", "expected a stretch of its 1.00 s"),
}


@pytest.mark.parametrize(("line", "expected"), BAD.values(), ids=BAD)
def test_a_bad_line_is_refused_and_named(root, tmp_path, line, expected):
    message = refusal(europarl(root, ONE + line, "a\nb\n", "A\nB\n"), tmp_path)
    assert message.startswith(f"{root}/en/de/train/segments.lst:2: ")
    assert expected in message


@pytest.mark.parametrize(
    ("english", "german", "counts"),
    [("a\n", "A\nB\n", (2, 1, 2)), ("a\nb\n", "A\nB\n\n", (2, 2, 3))],
)
def test_files_of_unequally_many_lines_are_refused(root, tmp_path, english, german, counts):
    message = refusal(europarl(root, ONE + ONE, english, german), tmp_path)
    found = "{} in segments.lst, {} in segments.en, {} in segments.de".format(*counts)
    assert f"found {found};" in message


def test_more_speeches_than_speakers_are_refused(root, tmp_path):
    corpus = europarl(root, ONE, "a\n", "A\n")
    write(root, {"en/de/train/speakers.lst": "Some One_123\n"})
    message = refusal(corpus, tmp_path)
    assert "found 2 in speeches.lst, 1 in speakers.lst" in message


def test_bytes_that_are_not_utf_8_are_named(root, tmp_path):
    message = refusal(europarl(root, ONE, "a\n", b"Pr\xe4sident\n"), tmp_path)
    assert message == (
        f"{root}/en/de/train/segments.de:1: expected UTF-8, found byte 0xe4 at byte 3"
    )


def test_m4a_without_ffmpeg_is_refused_with_the_cure(root, tmp_path, monkeypatch):
    corpus = europarl(root, ONE, "a\n", "A\n")
    (root / f"en/audios/{NAME}.wav").rename(root / f"en/audios/{NAME}.m4a")
    monkeypatch.setenv("PATH", str(tmp_path))
    message = refusal(corpus, tmp_path)
    assert message.startswith(
        f"{root}/en/de/train/segments.lst:1: {root}/en/audios/{NAME}.m4a: .m4a needs ffmpeg"
    )
    assert "apt install ffmpeg" in message


# What is missing.


def test_without_the_corpus_a_page_tells_where_it_is_got(root, tmp_path):
    assert missing(EuroparlST(root), tmp_path) == [f"{root}/en/audios"]
    (root / "en/audios").mkdir(parents=True)
    folders = [f"{root}/en/de/{part}" for part in ("train", "dev", "test")]
    assert missing(EuroparlST(root), tmp_path) == folders
    outcome = taskaware("check", "europarl_st", root)
    assert outcome.code == 2
    assert "mllp.upv.es" in outcome.err
    assert "CC BY-NC 4.0" in outcome.err
    (root / "en/de/dev").mkdir(parents=True)
    assert missing(EuroparlST(root), tmp_path) == [
        f"{folders[1]}/segments.{end}" for end in ("lst", "en", "de")
    ]
