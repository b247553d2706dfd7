import json
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pytest
from support.command_line import taskaware

from taskaware.errors import UsageError

pytest.importorskip("tensorflow_datasets")
soundfile = pytest.importorskip("soundfile")
from taskaware.data.corpora.base import NO_AUDIO, Example, PreparedCorpus  # noqa: E402
from taskaware.data.corpora.filtered import Filtered  # noqa: E402
from taskaware.data.corpora.labelled import Labelled  # noqa: E402
from taskaware.data.corpora.manifest import Manifest  # noqa: E402
from taskaware.data.corpora.summary import check, summarize  # noqa: E402
from taskaware.data.corpora.write import prepare, prepare_corpus  # noqa: E402


def text(id, labels):
    return Example(id, NO_AUDIO, "", f"say {id}", f"sag {id}", "en", "de", "c", labels)


@dataclass(frozen=True)
class Given:
    """A corpus of examples of one split."""

    examples: tuple

    name = "given"

    def splits(self, *, strict):
        return {"train": [lambda: self.examples]}


LABELS = [
    {"intent": "question", "slots": "O B-who I-who"},
    {"intent": "question", "slots": ""},
    {},
    MappingProxyType({"intent": "command", "speaker": "Zoë"}),
]


@pytest.fixture
def labelled(tmp_path):
    examples = tuple(text(str(i), labels) for i, labels in enumerate(LABELS))
    return prepare_corpus(Given(examples), tmp_path / "labelled")


def test_an_empty_label_is_none(labelled):
    expected = [{c: label for c, label in labels.items() if label} for labels in LABELS]
    assert [row.labels for row in labelled.rows("train")] == expected


def test_equal_labels_are_one_object_in_memory_and_so_are_none_at_all(tmp_path):
    examples = [text(str(i), {"sex": "f"} if i % 2 else {}) for i in range(6)]
    rows = prepare_corpus(Given(tuple(examples)), tmp_path / "out").rows("train")
    assert len({id(row.labels) for row in rows[::2]}) == 1
    assert len({id(label) for row in rows[1::2] for label in row.labels.values()}) == 1
    assert len({id(column) for row in rows[1::2] for column in row.labels}) == 1


def test_labels_are_counted_by_column(labelled):
    ((_, summary),) = summarize(labelled)
    assert summary.labels == {"intent": (3, 2), "slots": (1, 1), "speaker": (1, 1)}


def test_the_command_counts_labels_by_column(labelled):
    outcome = taskaware("check", labelled.directory)
    assert "train: labels (distinct): intent 3 (2), slots 1 (1), speaker 1 (1)" in outcome.out


def test_a_filter_and_pseudo_labels_keep_labels(labelled, tmp_path):
    expected = [row.labels for row in labelled.rows("train")]
    filtered = prepare_corpus(Filtered(labelled.directory, max_ratio=9.0), tmp_path / "filtered")
    assert [row.labels for row in filtered.rows("train")] == expected
    texts = [["a"], ["b"], ["c"], ["d"]]
    new = prepare_corpus(Labelled(labelled.directory, "train", texts, "fr"), tmp_path / "new")
    assert [row.labels for row in new.rows("train")] == expected


BAD = [
    ({"intent": 3}, "label 'intent'", "3"),
    ({"intent": None}, "label 'intent'", "None"),
    ({"intent": "a\nb"}, "label 'intent'", r"'a\nb'"),
    ({"intent": "a\tb"}, "label 'intent'", r"'a\tb'"),
    ({"intent": "a\0"}, "label 'intent'", r"'a\x00'"),
    ({"intent": "a\u2028b"}, "label 'intent'", r"'a\u2028b'"),
    ({"intent": " a"}, "label 'intent'", "' a'"),
    ({"intent": " "}, "label 'intent'", "' '"),
    ({"": "a"}, "column", "''"),
    ({3: "a"}, "column", "3"),
    ({"a\tb": "a"}, "column", r"'a\tb'"),
]


@pytest.mark.parametrize(("labels", "where", "found"), BAD)
def test_a_bad_label_is_refused_or_left_out(tmp_path, labels, where, found):
    corpus = Given((text("one", {}), text("two", labels)))
    with pytest.raises(UsageError) as error:
        prepare_corpus(corpus, tmp_path / "out")
    message = str(error.value)
    assert message.startswith(f"c: 'two': {where}: expected one line of text")
    assert f"found {found}; " in message
    assert "\n" not in message
    assert check(corpus).bad == {"label": 1}
    kept = prepare_corpus(corpus, tmp_path / "out", skip_bad=True)
    assert [row.id for row in kept.rows("train")] == ["one"]
    assert kept.left_out("train")[0].reason == "label"


@pytest.mark.parametrize("labels", [[], None, "x", {"a": 1}, {"a": "b\n"}, {"": "b"}, {"a": ""}])
def test_damaged_labels_in_an_index_are_refused(labelled, labels):
    index = labelled.directory / "index-train.jsonl"
    *rows, last = index.read_text().splitlines()
    fields = [*json.loads(last)[:-1], labels]
    index.write_text("\n".join([*rows, json.dumps(fields), ""]))
    with pytest.raises(UsageError, match=r"damaged corpus: cannot read index-train.jsonl"):
        PreparedCorpus(labelled.directory).rows("train")


def test_an_index_without_labels_is_refused(labelled):
    index = labelled.directory / "index-train.jsonl"
    lines = [json.dumps(json.loads(line)[:-1]) for line in index.read_text().splitlines()]
    index.write_text("\n".join([*lines, ""]))
    with pytest.raises(UsageError, match="damaged corpus"):
        PreparedCorpus(labelled.directory).rows("train")


def test_what_a_reader_gives_need_not_be_a_dict(tmp_path):
    labels = MappingProxyType({"a": "b"})
    splits = {"train": [lambda: [text("1", labels)]]}
    assert prepare("c", lambda: splits, tmp_path / "out").rows("train")[0].labels == {"a": "b"}


HEADER = (
    "id audio start duration speaker source_text target_text source_language target_language"
).split()


def table(folder, columns, *rows):
    """A table of text, with columns beside those that every table has."""
    lines = [[*HEADER, *columns]]
    for number, row in enumerate(rows):
        lines.append([str(number), *[""] * 4, "say", "", "en", "", *row])
    path = folder / "table.tsv"
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def from_table(path, *labels, **options):
    out = path.parent / "prepared"
    return prepare_corpus(Manifest(path, labels=labels, **options), out)


def test_further_columns_of_a_table_are_labels(tmp_path):
    path = table(tmp_path, ["slots", "intent"], ["O  B-who ", "question"], ["", "größer"], ["", ""])
    rows = from_table(path, "intent", "slots").rows("train")
    assert [row.labels for row in rows] == [
        {"intent": "question", "slots": "O B-who"},
        {"intent": "größer"},
        {},
    ]


def test_a_column_that_every_table_has_can_be_a_label_too(tmp_path):
    path = table(tmp_path, ["split"], ["test"])
    (row,) = from_table(path, "source_language", "split").rows("test")
    assert row.labels == {"source_language": "en", "split": "test"}


def test_a_label_that_was_quoted_is_one_line(tmp_path):
    path = table(tmp_path, ["intent"], ['"two\nlines"'])
    (row,) = from_table(path, "intent", quotes="undo").rows("train")
    assert row.labels == {"intent": "two lines"}


def test_a_column_of_labels_that_is_missing_is_named_with_the_nearest(tmp_path):
    path = table(tmp_path, ["intent"], ["question"])
    with pytest.raises(UsageError) as error:
        from_table(path, "intents")
    assert str(error.value).startswith(f"{path}:1: column 'intents' is missing, found id, ")
    assert str(error.value).endswith("did you mean 'intent'?")


@pytest.mark.parametrize("labels", [(), ("intent",)])
def test_a_column_that_nobody_named_is_refused(tmp_path, labels):
    path = table(tmp_path, ["intent", "slots"], ["question", "O"])
    with pytest.raises(
        UsageError, match=r"no others but those of --labels, found '(slots|intent)'"
    ):
        from_table(path, *labels)


def test_a_column_of_labels_that_occurs_twice_is_refused(tmp_path):
    path = table(tmp_path, ["intent", "intent"], ["question", "command"])
    with pytest.raises(UsageError, match="found 'intent' twice"):
        from_table(path, "intent")


def test_the_command_takes_several_columns(tmp_path):
    path = table(tmp_path, ["intent", "slots"], ["question", "O"])
    out = tmp_path / "out"
    words = f"prepare manifest {path} --labels intent slots --out {out} --workers 1".split()
    assert "train: labels (distinct): intent 1 (1), slots 1 (1)" in taskaware(*words).out


def heard(folder, audio, intent):
    """A table of one row without a transcript, and its recording."""
    soundfile.write(folder / "a.wav", np.ones(1600, np.int16), 16000)
    row = ["a", audio, "", "", "", "", "", "en", "", intent]
    lines = ["\t".join([*HEADER, "intent"]), "\t".join(row)]
    (folder / "table.tsv").write_text("".join(f"{line}\n" for line in lines))
    return folder / "table.tsv"


def test_audio_with_a_label_needs_no_transcript(tmp_path):
    (row,) = from_table(heard(tmp_path, "a.wav", "question"), "intent").rows("train")
    assert (row.source_text, row.num_samples, row.labels) == ("", 1600, {"intent": "question"})


@pytest.mark.parametrize(
    ("audio", "intent", "labels"),
    [("", "question", ["intent"]), ("a.wav", "", ["intent"])],
)
def test_without_audio_or_label_a_row_without_text_is_refused(tmp_path, audio, intent, labels):
    with pytest.raises(UsageError, match="expected source_text, found it empty"):
        from_table(heard(tmp_path, audio, intent), *labels)
