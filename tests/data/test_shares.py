"""How much of each task and folder comes."""

import functools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.toy_batches import (
    assert_equal,
    examples_in,
    fingerprint,
    rows_of,
    shape_of,
    take,
)

from taskaware.config import Batching, Task
from taskaware.data.batches import rows_per_batch, task_probabilities
from taskaware.data.corpora.base import NO_AUDIO, Example
from taskaware.data.corpora.write import prepare
from taskaware.data.tasks import load_tasks
from taskaware.data.tokenizer import Tokenizer, train_tokenizer


@pytest.mark.parametrize(
    ("counts", "alpha", "expected"),
    [
        ([1, 99], 0.0, [0.5, 0.5]),
        ([1, 99], 1.0, [0.01, 0.99]),
        ([1, 4, 9], 0.5, [1 / 6, 2 / 6, 3 / 6]),
        ([7], 0.3, [1.0]),
    ],
)
def test_tasks_are_drawn_by_the_power_of_their_size(counts, alpha, expected):
    np.testing.assert_allclose(task_probabilities(counts, alpha), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (0.0, [35, 35, 35]),
        (1.0, [80, 20, 5]),
        (0.5, [60, 30, 15]),  # √80 : √20 : √5 = 4 : 2 : 1
    ],
)
def test_batches_of_one_task_come_as_often_as_alpha_says(unequal, alpha, expected):
    batching = Batching(size=1, buckets=1, mixing="one_task", alpha=alpha)
    counts = Counter(name for batch in take(105, unequal, batching) for name in batch)
    assert [counts[name] for name in ("de", "ro", "tr")] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(
    ("alpha", "rows"),
    [
        (0.0, [14, 14, 14]),
        (1.0, [32, 8, 2]),  # 42 rows in proportion 80 : 20 : 5
        (0.5, [24, 12, 6]),  # 42 rows in proportion √80 : √20 : √5 = 4 : 2 : 1
    ],
)
def test_batches_of_all_tasks_hold_the_rows_that_alpha_says(unequal, alpha, rows):
    batching = Batching(size=14, buckets=2, alpha=alpha)
    for batch in take(2, unequal, batching):
        assert [rows_of(batch)[name] for name in ("de", "ro", "tr")] == rows


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """One text task of three folders: 16 long examples, 4 short ones, 64 of both lengths."""
    folder = tmp_path_factory.mktemp("mixed")

    def rows(name, count, long):
        for i in range(count):
            text = f"{name} {i:02d}" + " and more" * long(i)
            yield Example(text, NO_AUDIO, "", text, text, "en", "de", name)

    sizes = {"a": (16, lambda i: 1), "b": (4, lambda i: 0), "c": (64, lambda i: i < 26)}
    for name, (count, long) in sizes.items():
        shards = [functools.partial(rows, name, count, long)]
        prepare(name, lambda shards=shards: {"train": shards}, folder / name)
    train_tokenizer(["a b c and more 0123456789"], 30, folder / "tokenizer")
    data = tuple(str(folder / name) for name in sizes)
    task = Task(name="mt", source="text", target="translation", metric="bleu", data=data)
    return load_tasks([task], "train", Tokenizer.load(folder / "tokenizer"))


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (1.0, [16, 4, 64]),
        (0.0, [28, 28, 28]),
        (0.5, [24, 12, 48]),  # √16 : √4 : √64 = 4 : 2 : 8
    ],
)
@pytest.mark.parametrize("buckets", [1, 2, 3])
def test_the_folders_of_a_task_come_as_often_as_corpus_alpha_says(mixed, alpha, expected, buckets):
    batching = Batching(size=7, buckets=buckets, corpus_alpha=alpha)
    batches = take(120, mixed, batching)
    found = Counter(mixed[0].rows[i].corpus for b in batches for _, i in examples_in(b, mixed))
    # Buckets are of equal weight but for one example at each cut, which may be a fourth of b.
    share = [10 * count for count in expected]
    assert [found[name] for name in "abc"] == pytest.approx(share, abs=1 if buckets == 1 else 70)
    np.testing.assert_array_equal(mixed[0].folder, np.repeat([0, 1, 2], [16, 4, 64]))


def test_a_bucket_without_a_folder_is_filled_by_the_others(mixed):
    batching = Batching(size=6, buckets=2, corpus_alpha=0.0)
    lengths = {}
    for batch in take(8, mixed, batching):
        seen = {mixed[0].rows[i].corpus for _, i in examples_in(batch, mixed)}
        lengths.setdefault(shape_of(batch).target, set()).update(seen)
    assert [lengths[length] for length in sorted(lengths)] == [{"b", "c"}, {"a", "c"}]


def test_folders_are_mixed_the_same_wherever_reading_began(mixed):
    batching = Batching(size=6, buckets=2, corpus_alpha=0.5)
    whole = take(9, mixed, batching)
    for found, expected in zip(take(4, mixed, batching, first=5), whole[5:], strict=True):
        assert_equal(found, expected)
    fingerprints = {
        fingerprint(mixed, replace(batching, corpus_alpha=a), 3, "") for a in (0.0, 1.0, 2.0)
    }
    assert len(fingerprints) == 3


def test_each_task_has_its_own_share_wherever_it_stands_in_the_batch(tasks):
    assert [len(examples) for examples in tasks] == [67, 26, 28]
    (batch,) = take(1, tasks, Batching(size=20, buckets=1, alpha=1.0))
    # 60 rows in proportion 67 : 26 : 28.
    assert rows_of(batch) == {"mt": 33, "st": 13, "asr": 14}


def test_a_small_task_has_a_row_in_every_batch(unequal):
    for batch in take(3, unequal, Batching(size=2, buckets=2, alpha=3.0)):
        assert set(batch) == {"de", "ro", "tr"}


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("mixing", ["all_tasks", "one_task"])
@pytest.mark.parametrize(
    ("buckets", "count"), [(1, 210), pytest.param(2, 420, marks=pytest.mark.long)]
)
def test_rows_per_batch_are_those_of_many_batches(unequal, mixing, alpha, buckets, count):
    batching = Batching(size=4, buckets=buckets, mixing=mixing, alpha=alpha)
    found = sum((Counter(rows_of(b)) for b in take(count, unequal, batching)), Counter())
    expected = rows_per_batch([len(examples) for examples in unequal], batching)
    assert [found[name] / count for name in ("de", "ro", "tr")] == pytest.approx(expected, abs=0.02)
