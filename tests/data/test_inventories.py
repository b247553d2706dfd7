"""What heads can answer, read off training data."""

import numpy as np
import pytest

from taskaware.config import ModelConfig, Task
from taskaware.config.heads import LabelConfig
from taskaware.config.wiring import Inventory
from taskaware.data.corpora.base import NO_AUDIO, Example
from taskaware.data.corpora.write import prepare
from taskaware.data.inventories import read_inventories
from taskaware.data.targets import Shape
from taskaware.data.tasks import load_tasks
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.errors import UsageError

TRAIN = [
    ("en", {"mood": "sad", "tags": "O B-x", "phones": "b a", "age": "10"}),
    ("en", {"mood": "glad", "tags": "B-x I-x", "phones": "a", "age": "20", "bad": "old"}),
    ("en", {"bad": "5"}),
    ("de", {"mood": "froh", "other": "wild", "age": "-1e3", "const": "7"}),
]
TEST = [("en", {"mood": "calm", "only": "here", "age": "99"})]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    def rows(given):
        for i, (language, labels) in enumerate(given):
            yield Example(f"u{i}", NO_AUDIO, "", f"two {i}", "", language, "", "c", labels)

    out = tmp_path_factory.mktemp("labelled") / "data"
    splits = {"train": [lambda: rows(TRAIN)], "test": [lambda: rows(TEST)]}
    prepare("labelled", lambda: splits, out)
    return str(out)


def task(target, column, folder, **given):
    given = {"name": column, "source": "text", "data": (folder,)} | given
    return Task(target=target, column=column, **given)


def test_an_inventory_has_the_sorted_values_of_the_training_examples_of_its_task(folder):
    tasks = [
        task("label", "mood", folder),
        task("tags", "tags", folder),
        task("symbols", "phones", folder),
    ]
    assert read_inventories(tasks, ModelConfig()) == {
        "mood": Inventory(values=("glad", "sad")),  # not the German one, nor the one of test
        "tags": Inventory(values=("B-x", "I-x", "O")),
        "phones": Inventory(values=("a", "b")),
    }


def test_of_numbers_it_has_mean_and_deviation(folder):
    found = read_inventories([task("number", "age", folder)], ModelConfig())
    assert found == {"age": Inventory(mean=15.0, deviation=5.0)}
    wanted = task("number", "const", folder, source_language="de")
    assert read_inventories([wanted], ModelConfig()) == {"const": Inventory(mean=7.0)}


def test_tasks_that_share_a_head_share_the_union(folder):
    english = task("label", "mood", folder)
    german = task("label", "mood", folder, name="german", source_language="de")
    union = {"mood": Inventory(values=("froh", "glad", "sad"))}
    assert read_inventories([english, german], ModelConfig()) == union
    whatever = task("label", "mood", folder, source_language="")
    assert read_inventories([whatever], ModelConfig()) == union
    model = ModelConfig(heads=(LabelConfig(name="other"),))
    apart = [english, task("label", "mood", folder, name="b", source_language="de", head="other")]
    assert read_inventories(apart, model) == {
        "mood": Inventory(values=("glad", "sad")),
        "other": Inventory(values=("froh",)),
    }


def test_what_writes_texts_has_none(folder):
    tasks = [task("label", "mood", folder, head="decoder"), task("text", "mood", folder, name="b")]
    assert read_inventories(tasks, ModelConfig()) == {}


@pytest.mark.parametrize(
    ("target", "column", "message"),
    [
        ("label", "only", "task 'only': no text example with a label in column 'only' in split"),
        ("label", "moood", "no text example with a label in column 'moood'"),
        ("number", "bad", "task 'bad': example 'u1': column 'bad': expected a number, found 'old'"),
        ("number", "mood", "task 'mood': example 'u0': column 'mood': expected a number"),
    ],
)
def test_data_without_what_a_task_needs_are_one_line(target, column, message, folder):
    with pytest.raises(UsageError) as error:
        read_inventories([task(target, column, folder)], ModelConfig())
    assert message in str(error.value) and "\n" not in str(error.value)


def test_segments_of_another_form_are_one_line_with_the_example(folder, tmp_path):
    rows = [Example("a", np.ones(8000, np.int16), "", "", "", "en", "", "c", {"v": "speech 1"})]
    prepare("odd", lambda: {"train": [lambda: rows]}, tmp_path / "odd")
    wanted = task("frames", "v", str(tmp_path / "odd"), source="speech")
    with pytest.raises(UsageError, match=r"example 'a': column 'v': expected segments LABEL"):
        read_inventories([wanted], ModelConfig())


def test_a_task_that_a_split_has_no_example_of_is_left_out_with_a_line_if_somebody_listens(
    folder, tmp_path
):
    train_tokenizer(["two 0123456789"], 20, tmp_path / "words.model")
    tokenizer = Tokenizer.load(tmp_path / "words.model")
    given = [task("label", "mood", folder), task("tags", "tags", folder)]
    inventories = read_inventories(given, ModelConfig())
    said = []
    loaded = load_tasks(given, "test", tokenizer, inventories=inventories, absent=said.append)
    assert [examples.task.name for examples in loaded] == ["mood"]
    assert loaded[0].target.rows([0], Shape(0, 9, 9)).label_B.tolist() == [0]  # unseen in training
    assert len(said) == 1 and "'tags'" in said[0] and said[0].endswith("left out")
    with pytest.raises(UsageError, match="no text example with a label in column 'tags'"):
        load_tasks(given, "test", tokenizer, inventories=inventories)
