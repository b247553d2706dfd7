import gzip

import pytest

from taskaware.errors import UsageError

tfds = pytest.importorskip("tensorflow_datasets")
from support.parallel_files import (  # noqa: E402
    ENGLISH,
    GERMAN,
    TABLE,
    TRAIN,
    prepared,
    refusal,
    texts,
    write,
)

from taskaware.data.corpora import parallel  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "My-Talks 2"
    folder.mkdir()
    return folder


# What is refused.


@pytest.mark.parametrize(
    ("english", "german", "romanian", "expected"),
    [
        ("a\nb\nc\n", "A\n", "", "train.de: expected 3 lines, as in train.en, found 1"),
        ("a\n", "A\nB\nC\nD", "x\n", "train.de: expected 1 lines, as in train.en, found 4"),
        ("a\nb\n", "", "x\nx\n", "train.de: expected 2 lines, as in train.en, found 0"),
        ("a\nb\n", "A\nB\n", "x\nx\n\n", "train.ro: expected 2 lines, as in train.en, found 3"),
    ],
)
def test_files_of_unequally_many_lines_are_refused(folder, english, german, romanian, expected):
    message = refusal(write(folder, en=english, de=german, ro=romanian), "en de ro")
    assert message.startswith(f"{folder}/{expected}; line i of one must be the translation")


@pytest.mark.parametrize(
    ("line", "found"), [("only", 1), ("", 1), ("a\tb\tc", 3), ("a\u2028b\x0bc", 1), ("a\tb\t", 3)]
)
def test_a_row_of_another_width_is_refused_with_its_line(folder, line, found):
    message = refusal(write(folder, tsv=f"good day\tguten Tag\n{line}\n"))
    assert message == (
        f"{folder}/train.tsv:2: expected 2 texts separated by tabs, one per language, found {found}"
    )


@pytest.mark.parametrize("end", ["\r", "\n", ""])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_lines_that_end_in_carriage_returns_alone_are_refused(folder, ending, end):
    english, german = (text[:-1].replace("\n", "\r") + end for text in (ENGLISH, GERMAN + "ja\n"))
    message = refusal(write(folder, **{f"en{ending}": english, f"de{ending}": german}))
    assert message.startswith(f"{folder}/train.en{ending}: lines end in CR alone; convert them")


def test_lines_of_more_than_a_mebibyte_that_carriage_returns_end_are_told_as_such(folder):
    message = refusal(write(folder, en="good day\r" * 200_000, de=GERMAN))
    assert message.startswith(f"{folder}/train.en: lines end in CR alone")


@pytest.mark.parametrize("last", ["a\rb", "a\rb\n"])
def test_a_carriage_return_in_the_only_line_of_a_later_shard_is_a_space(folder, monkeypatch, last):
    monkeypatch.setattr(parallel, "TEXTS_PER_SHARD", 1)
    assert texts(prepared(write(folder, en=f"x\n{last}", de="y\nz\n")))[1] == ("a b", "z")


@pytest.mark.parametrize("ending", ["tsv", "tsv.gz"])
def test_a_table_that_csv_quotes_is_refused_with_its_line(folder, ending):
    write(
        folder,
        **{ending: 'good day\t"Guten Tag."\n"She said ""hi""."\tSie sagte: \u201eHi\u201c.\n'},
    )
    message = refusal(folder)
    assert message.startswith(f"{folder}/train.{ending}:2: expected texts without quoting, found")
    assert '\'"She said ""hi""."\'' in message


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"guten Tag\ngute Nach\xfc\n", ":2: expected UTF-8, found byte 0xfc at byte 10"),
        (GERMAN.encode("utf-16"), ":1: expected UTF-8, found byte 0xff at byte 1"),
        (b"a\n\xed\xa0\x80\n", ":2: expected UTF-8, found byte 0xed at byte 1"),
        (b"a\nb\0c\n", ":2: expected text, found a NUL character"),
    ],
)
def test_what_is_no_text_is_refused_with_its_line(folder, zipped, content, expected):
    name, content = ("de.gz", gzip.compress(content)) if zipped else ("de", content)
    message = refusal(write(folder, en=ENGLISH, **{name: content}))
    assert message == f"{folder}/train.{name}{expected}"


WHOLE = gzip.compress("".join(f"{i * i}\n" for i in range(5000)).encode())
DAMAGED = {
    "cut": WHOLE[: len(WHOLE) // 2],
    "cut at the end": WHOLE[:-1],
    "with a bad block": WHOLE[:10] + b"\xff" * 99,
    "with a wrong sum": WHOLE[:-8] + bytes(4) + WHOLE[-4:],
    "not gzip": b"<html>",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_gzip_file_is_one_line(folder, content):
    message = refusal(write(folder, en="a\n" * 5000, **{"de.gz": content}))
    assert message.startswith(f"{folder}/train.de.gz: cannot read on after line ")
    assert message.endswith("; is the file whole?")


def test_all_splits_are_checked_before_anything_is_written(folder):
    write(folder, en=ENGLISH, de=GERMAN)
    (folder / "test.tsv").write_text("a\tA\nb\n")
    written = []
    with pytest.raises(UsageError, match=r"test\.tsv:2: "):
        prepared(folder, splits=TRAIN | {"test": ("test",)}, on_shard=written.append)
    assert not written


# What is looked for.


def test_without_files_the_names_that_were_looked_for_are_told(folder):
    assert refusal(folder) == (
        f"{folder}: expected train.en, train.de, or else train.tsv, each as it is or with .gz,"
        " found no train.en, no train.de"
    )
    (folder / "train.de").mkdir()
    assert "found no train.de" in refusal(write(folder, en=ENGLISH))


def test_the_nearest_name_is_suggested(folder):
    write(folder, en=ENGLISH, **{"de.gz": GERMAN})
    assert refusal(folder, "en du").endswith("found no train.du; did you mean 'train.de'?")
    message = refusal(folder, splits=TRAIN | {"test": ("trian",)})
    assert message.endswith("no trian.de; did you mean 'train.en'?")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        assert refusal(tmp_path / name).startswith(f"{tmp_path / name}: cannot read the folder (")


def test_where_files_of_both_kinds_could_be_meant_neither_is_taken(folder):
    message = refusal(write(folder, en=ENGLISH, de=GERMAN, tsv=TABLE))
    assert "expected train.en, train.de or train.tsv, found both; remove one" in message


def test_a_table_is_taken_where_the_files_do_not_hold_every_language(folder):
    corpus = prepared(write(folder, en="other\n", tsv=TABLE), "en de ro")
    assert texts(corpus)[0] == ("good day", "guten Tag")


@pytest.mark.parametrize("name", ["de", "tsv"])
def test_where_a_file_is_there_plain_and_gzipped_neither_is_taken(folder, name):
    write(folder, **{"en": ENGLISH, name: GERMAN, f"{name}.gz": GERMAN})
    assert f"expected train.{name} or train.{name}.gz, found both; remove one" in refusal(folder)


@pytest.mark.parametrize("languages", ["", "en", "en en", "en de de", "en d/e", "en ../de"])
def test_languages_that_do_not_make_a_pair_are_refused(folder, languages):
    message = refusal(write(folder, en=ENGLISH, de=GERMAN), languages)
    assert message.startswith("languages: expected a source and one or more targets")
    assert message.endswith(f"found {languages or 'none'}")
