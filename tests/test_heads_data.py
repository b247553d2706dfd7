"""The script that prepares real sets for heads, on miniatures in their formats and on the sets."""

import gzip
import runpy
import subprocess
import sys

import numpy as np
import pytest
from support.sources import ROOT

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("tensorflow_datasets")
from taskaware.data.corpora.base import PreparedCorpus  # noqa: E402

SCRIPT = ROOT.parent / "experiments" / "heads" / "data.py"


def sound(path, seconds=0.5, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).integers(-3000, 3000, int(seconds * rate)).astype(np.int16)
    opus = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, samples, rate, **opus)
    return samples


def table(path, text):
    """A table whose fields are parted by | here, and by tabs there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [line.strip().replace("|", "\t") for line in text.strip().splitlines()]
    content = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def run(data, out, *words):
    command = [sys.executable, SCRIPT, data, out, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT.parent)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepares one set of tmp_path, in this process, and gives its rows by split."""

    def prepare(name, *words):
        argv = [str(SCRIPT), str(tmp_path), str(tmp_path / "out"), name, *words]
        monkeypatch.setattr(sys, "argv", argv)
        runpy.run_path(str(SCRIPT), run_name="__main__")
        corpus = PreparedCorpus(tmp_path / "out" / name)
        return {split: corpus.rows(split) for split in corpus.splits}

    return prepare


def labels(rows):
    return {row.id: dict(row.labels) for row in rows}


def test_digits_are_stretches_of_a_recording_by_take(tmp_path, prepared):
    sound(tmp_path / "fsdd/george.flac", seconds=1.0, rate=8000)
    table(
        tmp_path / "fsdd/segments.tsv",
        """speaker|digit|index|start_sample|n_samples
        george|0|4|0|2000
        george|7|5|2000|1600
        george|9|45|3600|4000
        theo|1|5|0|2000""",
    )
    rows = prepared("fsdd")
    assert labels(rows["test"]) == {"george-0-4": {"digit": "0", "speaker": "george"}}
    assert labels(rows["validation"]) == {"george-9-45": {"digit": "9", "speaker": "george"}}
    (row,) = rows["train"]  # theo's recording is not there
    assert (row.source_text, row.speaker, row.num_samples) == ("seven", "george", 3200)


def test_sentences_of_slurp_have_an_intent_and_a_tag_per_word(tmp_path, prepared):
    head = "id|scenario|action|tokens|bio"
    sentence = "{}|email|query|mail from mona|O O B-person"
    devel = "\n".join([head, *(sentence.format(i) for i in range(11))])
    table(tmp_path / "slurp_text/devel.tsv.gz", devel)
    table(tmp_path / "slurp_text/test.tsv.gz", f"{head}\n{sentence.format('t')}")
    rows = prepared("slurp_text")
    assert [row.id for row in rows["validation"]] == ["0", "10"]
    assert [row.id for row in rows["train"]] == [str(i) for i in range(1, 10)]
    (row,) = rows["test"]
    assert (row.source_text, row.num_samples) == ("mail from mona", 0)
    assert row.labels == {"intent": "email_query", "slots": "O O B-person"}


def emodb(folder):
    """Five men and five women, of whom each says two of ten sentences."""
    clips, phones = ["id|n_samples|speaker|sex|age|sentence|emotion|cut_at_2s|text"], []
    for i in range(10):
        for j in range(10):
            id = f"{i:02}s{j}"
            sound(folder / f"emodb_2s/audio/{id}.opus", 0.1)
            clips.append(f"{id}|1600|{i:02}|{'mf'[i % 2]}|30|s{j}|anger|{j % 2}|Satz {j}.")
            phones.append(f"{id}|0.0|0.05|_t\n{id}|0.05|0.08|!t\n{id}|0.08|0.1|a")
    table(folder / "emodb_2s/clips.tsv", "\n".join(clips))
    table(folder / "emodb_2s/phones.tsv", "\n".join(["id|start|end|phone", *phones]))


@pytest.mark.parametrize(
    ("name", "column"), [("emodb", "speaker"), ("emodb_sentences", "sentence")]
)
def test_no_speaker_or_no_sentence_of_emodb_is_in_two_splits(tmp_path, prepared, name, column):
    emodb(tmp_path)
    rows = prepared(name, "--fold", "4")
    values = {split: {row.labels[column] for row in some} for split, some in rows.items()}
    assert {split: len(some) for split, some in values.items()} == {
        "train": 6,
        "validation": 2,
        "test": 2,
    }
    assert len(set.union(*values.values())) == 10
    if column == "speaker":
        assert {int(speaker) % 2 for speaker in values["test"]} == {0, 1}  # a man and a woman
    every = {row.id: row for some in rows.values() for row in some}
    assert len(every) == 100
    assert every["03s4"].source_text == "Satz 4."
    assert every["03s5"].source_text == ""  # it was cut
    assert every["03s5"].labels == {
        "emotion": "anger",
        "speaker": "03",
        "sentence": "s5",
        "phones": "t a",
    }


@pytest.mark.parametrize(
    ("marked", "phones"),
    [
        ("_t !t tasp E6 +hoe d+nas .", "t E6 d"),
        ("k !k kasp k !k", "k"),
        ("(gef -lar,+nas aI [+eng n", "aI n"),
        ("+lar -sth", ""),
    ],
)
def test_marks_of_voice_quality_are_no_phones(marked, phones):
    german_phones = runpy.run_path(str(SCRIPT))["german_phones"]
    assert german_phones(marked.split()) == phones


def test_an_order_has_a_label_for_each_slot_and_no_transcript(tmp_path, prepared):
    rows = ["id|n_samples|intent|slots"]
    for i in range(5):
        sound(tmp_path / f"barista/audio/o{i}.opus")
        rows.append(f'o{i}|8000|orderDrink|{{"coffeeDrink": "mocha", "roast": "dark roast"}}')
    table(tmp_path / "barista/labels.tsv", "\n".join(rows))
    splits = prepared("barista", "--fold", "1")
    assert {split: [row.id for row in rows] for split, rows in splits.items()} == {
        "train": ["o0", "o3", "o4"],
        "validation": ["o2"],
        "test": ["o1"],
    }
    (row,) = splits["test"]
    assert row.source_text == ""
    assert row.labels == {
        "coffeeDrink": "mocha",
        "roast": "dark roast",
        "size": "none",
        "numberOfShots": "none",
        "milkAmount": "none",
        "sugarAmount": "none",
    }


def test_each_fold_of_wake_words_has_each_word(tmp_path, prepared):
    rows = ["id|n_samples|keyword|original"]
    for word in ("alexa", "smart mirror"):
        for i in range(5):
            id = f"{word[:5]}-{i}"
            sound(tmp_path / f"wake_words/audio/{id}.opus")
            rows.append(f"{id}|8000|{word}|{i}.flac")
    table(tmp_path / "wake_words/labels.tsv", "\n".join(rows))
    splits = prepared("wake_words")
    assert [row.labels for row in splits["test"]] == [{"word": "alexa"}, {"word": "smart mirror"}]
    assert [row.id for row in splits["test"]] == ["alexa-0", "smart-0"]
    assert len(splits["train"]) == 6
    assert splits["validation"][1].source_text == "smart mirror"


def test_utterances_of_librispeech_have_phones_if_all_words_do(tmp_path, prepared):
    chapter = tmp_path / "librispeech_12s/LibriSpeech/train-clean-5/19/198"
    texts = ["NORTHANGER A", "A", "A"]
    for i in range(3):
        sound(chapter / f"19-198-000{i}.opus")
    lines = [f"19-198-000{i} {text}\n" for i, text in enumerate(texts)]
    (chapter / "19-198.trans.txt").write_text("".join(lines))
    table(
        tmp_path / "librispeech_tasks/speaker_split.tsv",
        "id|speaker|split\n19-198-0000|19|test\n19-198-0001|19|dev\n19-198-0002|19|train",
    )
    table(tmp_path / "librispeech_tasks/lexicon.tsv", "A|AH0\nABBEY|AE1 B IY0")
    rows = prepared("librispeech")
    assert labels(rows["test"]) == {"19-198-0000": {"speaker": "19"}}
    assert labels(rows["validation"]) == {"19-198-0001": {"speaker": "19", "phones": "AH0"}}
    assert rows["test"][0].source_text == "northanger a"


def test_sets_that_are_not_there_are_left_out_and_mistakes_are_one_line(tmp_path):
    outcome = run(tmp_path, tmp_path / "out", "barista")
    assert outcome.returncode == 0
    assert outcome.stdout == f"barista: left out, no folder {tmp_path}/barista\n"
    outcome = run(tmp_path, tmp_path / "out", "emodB")
    assert outcome.returncode == 2
    assert outcome.stderr.splitlines()[-1].endswith("found emodB")
    (tmp_path / "barista").mkdir()
    table(tmp_path / "barista/labels.tsv", "id|n_samples|intent|slots\no|1|i|{}")
    outcome = run(tmp_path, tmp_path / "out", "barista")
    assert outcome.returncode == 1
    assert outcome.stderr.count("\n") == 1
    assert "no audio file 'audio/o.opus'" in outcome.stderr


COUNTS = {  # as SOURCE.txt of each set has them
    "slurp_text": (5007, {"intent": 60, "slots": None}),
    "emodb": (535, {"emotion": 7, "speaker": 10, "sentence": 10}),
    "wake_words": (360, {"word": 6}),
    "barista": (280, {"coffeeDrink": 10, "roast": 4, "size": 8, "numberOfShots": 4}),
    "librispeech": (424, {"speaker": 28}),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_real_sets_are_read_whole(shared_data, tmp_path, name):
    script = runpy.run_path(str(SCRIPT))
    folders, read = script["SETS"][name]
    if not all((shared_data / folder).is_dir() for folder in folders):
        pytest.skip(f"needs {' and '.join(folders)} in ../shared/data")
    count, distinct = COUNTS[name]
    rows = [*read(shared_data, 0)]
    assert len({row["id"] for row in rows}) == count == len(rows)
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    for column, values in distinct.items():
        if values is not None:
            assert len({row[column] for row in rows}) == values
