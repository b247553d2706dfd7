import csv
import os
import unicodedata

import numpy as np
import pytest

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
soundfile = pytest.importorskip("soundfile")
from taskaware.data.corpora.manifest import Manifest  # noqa: E402
from taskaware.data.corpora.write import prepare_corpus  # noqa: E402

HEADER = (
    "id\taudio\tstart\tduration\tspeaker"
    "\tsource_text\ttarget_text\tsource_language\ttarget_language"
)
COLUMNS = HEADER.split("\t")
TEXT_ROW = {
    "id": "t",
    "source_text": "good day",
    "target_text": "guten Tag",
    "source_language": "en",
    "target_language": "de",
}
SPEECH_ROW = TEXT_ROW | {"id": "s", "audio": "wav/a.wav", "speaker": "anna"}
RATE = 16000


@pytest.fixture
def samples(tmp_path):
    """The samples of wav/a.wav, one second."""
    samples = np.random.default_rng(0).integers(-32768, 32768, RATE).astype(np.int16)
    (tmp_path / "in" / "wav").mkdir(parents=True)
    soundfile.write(tmp_path / "in" / "wav" / "a.wav", samples, RATE)
    return samples


@pytest.fixture
def table(tmp_path, samples):
    return tmp_path / "in" / "my_talks.tsv"


def write(table, *rows, columns=COLUMNS):
    lines = ["\t".join(columns)]
    lines += ["\t".join(row.get(name, "") for name in columns) for row in rows]
    table.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return table


def prepared(table, **options):
    return prepare_corpus(Manifest(table, **options), table.parent.parent / "out")


def refusal(table, **options):
    """The message with which a table is refused: one line, and nothing is left behind."""
    with pytest.raises(UsageError) as error:
        prepared(table, **options)
    assert "\n" not in str(error.value)
    assert not (table.parent.parent / "out").exists()
    return str(error.value)


def row_refusal(table, changes):
    """The message about a row with some fields changed, which names the table and its line."""
    message = refusal(write(table, TEXT_ROW, SPEECH_ROW | changes))
    assert message.startswith(f"{table}:3: ")
    return message


def test_speech_and_text_rows_come_back(table, samples):
    write(
        table,
        SPEECH_ROW,
        SPEECH_ROW | {"id": "cut", "start": "0.25", "duration": "0.5", "speaker": ""},
        TEXT_ROW,
        SPEECH_ROW | {"id": "no translation", "target_text": "", "target_language": ""},
    )
    corpus = prepared(table)
    assert corpus.splits == ("train",)
    rows = corpus.rows("train")
    assert rows[0] == ("s", RATE, "anna", "good day", "guten Tag", "en", "de", "my_talks", {})
    assert rows[1] == ("cut", 8000, "", "good day", "guten Tag", "en", "de", "my_talks", {})
    assert rows[2] == ("t", 0, "", "good day", "guten Tag", "en", "de", "my_talks", {})
    assert rows[3] == ("no translation", RATE, "anna", "good day", "", "en", "", "my_talks", {})
    np.testing.assert_array_equal(corpus.audio("train", 0), samples)
    np.testing.assert_array_equal(corpus.audio("train", 1), samples[4000:12000])
    assert corpus.audio("train", 2).size == 0


def test_the_order_of_the_columns_is_free_and_a_split_may_be_named(table):
    columns = ["split", *reversed(COLUMNS)]
    rows = [TEXT_ROW | {"split": split} for split in ("test", "", "dev")]
    corpus = prepared(write(table, *rows, columns=columns))
    assert set(corpus.splits) == {"test", "train", "dev"}
    assert corpus.rows("dev")[0].source_text == "good day"


def test_rows_are_kept_in_order_over_several_shards(table):
    rows = [SPEECH_ROW | {"id": f"u{i}", "duration": f"{0.03 + i / 5000}"} for i in range(601)]
    corpus = prepared(write(table, *rows))
    assert len(list(corpus.directory.glob("*.array_record-*-of-00004"))) == 4
    assert [row.id for row in corpus.rows("train")] == [f"u{i}" for i in range(601)]
    for i in (0, 199, 200, 600):
        assert corpus.audio("train", i).size == round((0.03 + i / 5000) * RATE)


def test_quotes_stay_in_the_text_and_what_ends_a_line_elsewhere_is_a_space(table):
    odd = {
        "source_text": 'He said "no\u2028yes\x85\x0b\x0c\x1c." \\n \'',
        "target_text": '"\r"ja" ',
    }
    corpus = prepared(write(table, TEXT_ROW | odd, TEXT_ROW | {"id": "2"}))
    assert [(row.source_text, row.target_text) for row in corpus.rows("train")] == [
        ('He said "no yes ." \\n \'', '" "ja"'),
        ("good day", "guten Tag"),
    ]


@pytest.mark.parametrize("field", ['"Hello," he said.', '"', '"""', '"a" or "b"', "''"])
def test_quotes_that_csv_would_not_write_are_text(table, field):
    write(table, TEXT_ROW | {"source_text": field})
    assert prepared(table).rows("train")[0].source_text == field


@pytest.mark.parametrize("field", ['"She said ""hi""."', '"Yes, now."', '""""'])
def test_a_field_that_csv_may_have_quoted_is_refused_kept_or_undone(table, field):
    message = row_refusal(table, {"source_text": field})
    assert f"expected fields without quoting, found {field!r}; " in message
    assert "--quotes undo" in message and "--quotes keep" in message
    kept = prepare_corpus(Manifest(table, quotes="keep"), table.parent.parent / "kept")
    assert kept.rows("train")[1].source_text == field
    undone = prepared(table, quotes="undo")
    assert undone.rows("train")[1].source_text == field[1:-1].replace('""', '"')
    assert undone.rows("train")[0].source_text == "good day"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_what_a_csv_writer_has_written_comes_back(table, quoting, end):
    texts = ['She said "hi".', '"', "Yes, now.", "a\tb", "two\nlines\r\nor three", '"all"', '5"']
    rows = [TEXT_ROW | {"id": f"{i}", "source_text": text} for i, text in enumerate(texts)]
    with open(table, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(
            file, COLUMNS, "", delimiter="\t", quoting=quoting, lineterminator=end
        )
        writer.writeheader()
        writer.writerows(rows)
    corpus = prepared(table, quotes="undo")
    assert [row.source_text for row in corpus.rows("train")] == [" ".join(t.split()) for t in texts]


def test_a_row_below_a_field_of_two_lines_is_named_by_its_own(table):
    columns = "\t".join(COLUMNS)
    table.write_text(f'{columns}\nt\t\t\t\t\t"a\nb"\tx\ten\tde\n\nu\tonly\n')
    with pytest.raises(UsageError, match=rf"^{table}:5: expected 9 fields"):
        prepared(table, quotes="undo")


@pytest.mark.parametrize("field", ['"Yes," he said.', '"never closed'])
def test_quotes_that_are_no_csv_cannot_be_undone(table, field):
    write(table, TEXT_ROW, SPEECH_ROW | {"source_text": field}, TEXT_ROW | {"id": "2"})
    with pytest.raises(UsageError, match=rf"^{table}:3: expected fields quoted as in CSV, or not"):
        prepared(table, quotes="undo")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_and_a_disk_need_not_agree_on_code_points(table, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    folder = table.parent / unicodedata.normalize(form, "Straße_é")
    (table.parent / "wav").rename(folder)
    (folder / "a.wav").rename(folder / unicodedata.normalize(form, "über.wav"))
    named = unicodedata.normalize(other, "Straße_é/über.wav")
    assert "no audio file" in row_refusal(table, {"audio": named.replace("b", "d")})
    corpus = prepared(write(table, SPEECH_ROW | {"audio": named}))
    assert corpus.rows("train")[0].num_samples == RATE


def test_lines_that_end_in_carriage_returns_alone_are_refused(table):
    table.write_bytes(write(table, TEXT_ROW).read_bytes().replace(b"\n", b"\r"))
    assert refusal(table).startswith(f"{table}: lines end in CR alone; convert them")


def test_a_byte_order_mark_carriage_returns_and_empty_lines_are_left_out(table):
    text = write(table, TEXT_ROW, TEXT_ROW | {"id": "2"}).read_bytes()
    # Spreadsheets end in rows of tabs alone.
    table.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n") + b"\r\n\n\t\t\t\n")
    rows = prepared(table).rows("train")
    assert [(row.id, row.target_language) for row in rows] == [("t", "de"), ("2", "de")]


def test_the_last_line_may_lack_its_end(table):
    write(table, TEXT_ROW)
    table.write_bytes(table.read_bytes()[:-1])
    assert prepared(table).rows("train")[0].target_language == "de"


def test_the_same_id_in_two_splits_is_fine_but_not_in_one(table):
    columns = [*COLUMNS, "split"]
    write(table, TEXT_ROW | {"split": "a"}, TEXT_ROW | {"split": "b"}, columns=columns)
    assert set(prepared(table).splits) == {"a", "b"}


def test_an_id_that_stands_twice_is_refused(table):
    assert "id 't' stands twice in its split" in row_refusal(table, {"id": "t"})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": ""}, "expected id, found it empty"),
        ({"source_text": "  "}, "expected source_text, found it empty"),
        ({"source_text": "\u200b \ufeff"}, "expected source_text, found it empty"),
        ({"target_text": "\u2060"}, "found '' and 'de'"),
        ({"source_language": ""}, "expected source_language, found it empty"),
        ({"target_text": ""}, "found '' and 'de'"),
        ({"target_language": ""}, "found 'guten Tag' and ''"),
        ({"start": "1,5"}, "start: expected seconds, 0 or more, as in 12.34, found '1,5'"),
        ({"start": "-1"}, "found '-1'"),
        ({"duration": "nan"}, "found 'nan'"),
        ({"duration": "inf"}, "found 'inf'"),
        ({"duration": "long"}, "duration: expected seconds"),
        ({"audio": "", "start": "1"}, "start and duration only beside audio"),
        (
            {"source_text": "a\tb"},
            "expected 9 fields separated by tabs, as in the header, found 10",
        ),
        ({"source_text": "a\0b"}, "NUL"),
        ({"audio": "wav/b.wav"}, "no audio file 'wav/b.wav'"),
        ({"audio": "wav"}, "no audio file 'wav'"),
    ],
)
def test_a_bad_row_is_refused_with_its_line(table, changes, expected):
    assert expected in row_refusal(table, changes)


def test_too_few_fields_are_refused(table):
    write(table, TEXT_ROW)
    with open(table, "a") as file:
        file.write("only\tthree\tfields\n")
    assert f"{table}:3: expected 9 fields" in refusal(table)


def test_the_first_bad_row_is_named_and_the_others_are_counted(table):
    bad = TEXT_ROW | {"source_text": ""}
    message = refusal(write(table, TEXT_ROW, bad, bad, TEXT_ROW | {"id": "2"}, bad))
    assert message.startswith(f"{table}:3: ")
    assert message.endswith("(and 2 more: check, in place of prepare, lists them)")


def test_bytes_that_are_not_utf_8_are_named(table):
    write(table, TEXT_ROW, TEXT_ROW | {"id": "x\u00e4"})
    table.write_bytes(table.read_bytes().replace("ä".encode(), b"\xe4"))
    assert refusal(table) == f"{table}:3: expected UTF-8, found byte 0xe4 at byte 2"


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["ids", *COLUMNS[1:]], "column 'id' is missing, found ids,"),
        (COLUMNS[:-1], "column 'target_language' is missing"),
        ([*COLUMNS, "splits"], "found 'splits'; did you mean 'split'?"),
        ([*COLUMNS, "id"], "found 'id' twice"),
        ([HEADER.replace("\t", ",")], "column 'id' is missing"),
    ],
)
def test_a_bad_header_is_refused(table, columns, expected):
    message = refusal(write(table, TEXT_ROW, columns=columns))
    assert message.startswith(f"{table}:1: ")
    assert expected in message


def test_a_missing_or_empty_table_is_refused(table):
    assert "cannot read the table" in refusal(table)
    table.write_bytes(b"")
    assert f"{table}:1: column 'id' is missing, found nothing" in refusal(table)
    assert "expected rows below the header" in refusal(write(table))


def test_text_is_checked_before_any_audio(table, monkeypatch):
    from taskaware.data.corpora import segments

    monkeypatch.setattr(segments, "read_audio", lambda *args, **kwargs: 1 / 0)
    assert ":3: " in refusal(write(table, SPEECH_ROW, TEXT_ROW | {"source_text": ""}))


def test_bad_audio_is_refused_with_the_line_and_the_file(table):
    (table.parent / "wav" / "b.wav").write_bytes(b"<html>")
    message = row_refusal(table, {"audio": "wav/b.wav"})
    assert f"{table.parent}/wav/b.wav: cannot read as audio" in message
    assert "expected a stretch" in row_refusal(table, {"start": "0.9", "duration": "1.2"})


def test_audio_of_another_rate_is_converted_only_on_demand(table):
    soundfile.write(table.parent / "wav" / "b.wav", np.zeros(8000), 8000)
    write(table, SPEECH_ROW | {"audio": "wav/b.wav"})
    assert "--resample" in refusal(table)
    assert prepared(table, resample=True).rows("train")[0].num_samples == RATE


@pytest.mark.parametrize(
    "audio",
    ["../secret.wav", "wav/../../secret.wav", "{absolute}", "link.wav", "out_link/secret.wav"],
)
def test_audio_outside_the_folder_is_refused(table, tmp_path, samples, audio):
    secret = tmp_path / "secret.wav"
    soundfile.write(secret, samples, RATE)
    (table.parent / "link.wav").symlink_to(secret)
    (table.parent / "out_link").symlink_to(tmp_path)
    message = row_refusal(table, {"audio": audio.format(absolute=secret)})
    assert "lies outside" in message
    assert "--audio-root" in message


def test_another_folder_for_the_audio_can_be_named(table, tmp_path, samples):
    soundfile.write(tmp_path / "in" / "b.wav", samples[:800], RATE)
    other = tmp_path / "elsewhere" / "my_talks.tsv"
    other.parent.mkdir()
    absolute = os.fspath(table.parent / "b.wav")
    rows = [SPEECH_ROW | {"audio": "b.wav"}, SPEECH_ROW | {"id": "2", "audio": absolute}]
    corpus = prepare_corpus(
        Manifest(write(other, *rows), audio_root=table.parent), tmp_path / "out"
    )
    assert [row.num_samples for row in corpus.rows("train")] == [800, 800]


def test_a_folder_with_a_similar_name_is_still_outside(table, tmp_path, samples):
    (tmp_path / "in2").mkdir()
    soundfile.write(tmp_path / "in2" / "a.wav", samples, RATE)
    assert "lies outside" in row_refusal(table, {"audio": "../in2/a.wav"})


def test_a_split_with_an_unusable_name_is_refused(table):
    columns = [*COLUMNS, "split"]
    message = refusal(write(table, TEXT_ROW | {"split": "../x"}, columns=columns))
    assert "expected splits named by letters" in message
