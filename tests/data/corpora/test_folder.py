import os
import unicodedata

import numpy as np
import pytest
from support.command_line import refused, taskaware

pytest.importorskip("tensorflow_datasets")
soundfile = pytest.importorskip("soundfile")
from support.corpus_files import left_out, missing, noise, prepared, refusal, texts, write  # noqa: E402

from taskaware.data.corpora.folder import Folder  # noqa: E402

A, B = noise(0.5, seed=1), noise(0.3, seed=2)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "recordings"


def files(folder=""):
    return {f"{folder}a.wav": A, f"{folder}a.txt": "good day\n", f"{folder}a.de.txt": "guten Tag\n"}


# What comes back.


def test_a_recording_has_its_text_beside_it(root, tmp_path):
    corpus = prepared(Folder(write(root, files())), tmp_path)
    assert corpus.rows("train") == [("a", 8000, "", "good day", "", "en", "", "folder", {})]
    np.testing.assert_array_equal(corpus.audio("train", 0), A)
    assert left_out(corpus) == [("text without a recording", f"{root}/a.de.txt")]


def test_a_translation_stands_beside_it_too(root, tmp_path):
    corpus = prepared(Folder(write(root, files()), target_language="de"), tmp_path)
    assert corpus.rows("train")[0][3:7] == ("good day", "guten Tag", "en", "de")
    assert left_out(corpus) == []


def test_the_lines_of_a_text_are_joined(root, tmp_path):
    write(root, files() | {"a.txt": "\ufeffgood\r\n\n  day\u2028\n"})
    assert texts(prepared(Folder(root), tmp_path)) == [("a", "good day", "")]


def test_a_text_whose_lines_end_in_carriage_returns_alone_is_joined_too(root, tmp_path):
    write(root, files() | {"a.txt": "good\rday\r"})
    assert texts(prepared(Folder(root), tmp_path)) == [("a", "good day", "")]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_recording_and_its_texts_need_not_agree_on_code_points(root, tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    wav, de = (unicodedata.normalize(form, name) for name in ("Mü/über.wav", "Mü/über.de.txt"))
    txt = unicodedata.normalize(form, "Mü/") + unicodedata.normalize(other, "über.txt")
    write(root, {wav: A, txt: "over", de: "über"})
    corpus = prepared(Folder(root, target_language="de"), tmp_path)
    assert texts(corpus) == [(wav.removesuffix(".wav"), "over", "über")]
    assert left_out(corpus) == []


def test_recordings_of_all_formats_in_all_folders_are_found(root, tmp_path):
    write(root, {"b/c/d.e.flac": B, "b/c/d.e.txt": "yes", "f.OGG": A, "f.txt": "no", "g.jpg": b""})
    write(root, {".hidden/x.wav": b"", "._f.wav": b"", "b/.DS_Store": b""})
    assert texts(prepared(Folder(root), tmp_path)) == [("b/c/d.e", "yes", ""), ("f", "no", "")]


def test_folders_named_after_splits_are_splits(root, tmp_path):
    for name in ("train/x", "dev", "test", "test_noisy"):
        write(root, files(f"{name}/"))
    write(root, {"README.txt": "mine", "docs/notes.txt": "mine", "docs/x.py": "", ".git/x": ""})
    corpus = prepared(Folder(root), tmp_path)
    ids = {split: [row.id for row in corpus.rows(split)] for split in corpus.splits}
    assert ids == {"train": ["x/a"], "validation": ["a"], "test": ["a"], "test_noisy": ["a"]}


def test_an_empty_text_is_left_out(root, tmp_path):
    write(root, files() | {"b.wav": B, "b.txt": "", "c.txt": "alone"})
    corpus = prepared(Folder(root), tmp_path)
    assert texts(corpus) == [("a", "good day", "")]
    assert left_out(corpus)[0] == ("the transcript is empty", f"{root}/b.wav")
    assert ("text without a recording", f"{root}/c.txt") in left_out(corpus)


def test_audio_of_another_rate_is_converted_only_on_demand(root, tmp_path):
    write(root, files())
    soundfile.write(root / "a.wav", np.zeros(4000), 8000)
    assert "convert with --resample" in refusal(Folder(root), tmp_path)
    corpus = prepared(Folder(root, resample=True), tmp_path)
    assert corpus.rows("train")[0].num_samples == 8000


# What is refused.

BAD = {
    "no text": ({"b.wav": B}, "b.wav: expected its text in b.txt beside it, found none"),
    "no translation": (
        {"b.wav": B, "b.txt": "x"},
        "b.wav: expected its text in b.de.txt beside it, found none",
    ),
    "not UTF-8": ({"a.txt": b"a\nb\xe4"}, "a.txt:2: expected UTF-8, found byte 0xe4 at byte 2"),
    "NUL": ({"a.de.txt": "\0"}, "a.de.txt:1: expected text, found a NUL character"),
    "two recordings": ({"a.flac": B}, "a.wav: id 'a' stands twice in its split"),
    "html": ({"a.wav": b"<html>"}, "a.wav: cannot read as audio"),
    "empty": ({"a.wav": b""}, "a.wav: expected an audio file, found an empty one"),
    "three channels": ({"a.wav": np.zeros((800, 3))}, "expected one or two channels, found 3"),
}


@pytest.mark.parametrize(("changes", "expected"), BAD.values(), ids=BAD)
def test_a_bad_file_is_refused_and_named(root, tmp_path, changes, expected):
    message = refusal(Folder(write(root, files() | changes), target_language="de"), tmp_path)
    assert message.startswith(f"{root}/")
    assert expected in message


def test_a_name_of_other_bytes_is_refused_and_told_in_text(root, tmp_path):
    write(root, files())
    try:
        os.rename(root / "a.wav", os.fsencode(root) + b"/caf\xe9.wav")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    message = refusal(Folder(root), tmp_path)
    assert "caf\\udce9.wav': expected a name in UTF-8" in message
    assert message.isascii()


def test_a_recording_beside_the_splits_is_refused(root, tmp_path):
    message = refusal(Folder(write(root, files("train/") | {"b.wav": B})), tmp_path)
    assert message.startswith(f"{root}/b.wav: expected it in the folder of a split")


def test_a_folder_with_an_unusable_name_beside_the_splits_is_refused(root, tmp_path):
    write(root, files("train/") | files("te-st/"))
    message = refused(taskaware("prepare", "folder", root, "--out", tmp_path / "out"))
    assert "expected splits named by letters" in message


# What is missing.


def test_without_recordings_a_page_tells_what_is_expected(root, tmp_path):
    assert missing(Folder(root), tmp_path) == [str(root)]
    (root / "train").mkdir(parents=True)
    assert missing(Folder(root), tmp_path) == [f"{root}/NAME.wav"]


def test_a_file_is_no_folder(root, tmp_path):
    root.write_text("")
    assert refusal(Folder(root), tmp_path).startswith(f"{root}: cannot read the folder (")
