"""What is in a training batch, and which comes when."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import grain
import numpy as np
import pytest
import threadpoolctl
from support.toy_batches import (
    ALL,
    IN_TOKENS,
    LEAST,
    MASKS,
    NAMES,
    ONE,
    assert_equal,
    examples_in,
    load,
    rows_of,
    take,
    training_batches,
)

from taskaware.config import Batching, SpecAugment
from taskaware.data.batches import LocalRows
from taskaware.data.tasks import load_tasks
from taskaware.dims import Speech, Text

# What is in a batch.


@pytest.mark.parametrize("batching", [ALL, ONE, LEAST])
def test_every_row_is_an_example_with_its_source_and_its_target_and_counts(tasks, batching):
    seen = set()
    for batch in take(6, tasks, batching):
        assert {type(batch[name].source) for name in batch if name != "mt"} <= {Speech}
        assert {type(batch[name].source) for name in batch if name == "mt"} <= {Text}
        assert all(rows.counts_B.all() for rows in batch.values())
        chosen = {examples.task.name: [] for examples in tasks}
        for number, i in examples_in(batch, tasks):
            chosen[tasks[number].task.name].append(i)
        for examples in tasks:
            name = examples.task.name
            for row, i in enumerate(chosen[name]):
                source = batch[name].source
                expected = examples.source[i] if name == "mt" else examples.frames(i)
                np.testing.assert_array_equal(source[0][row, : len(expected)], expected)
                assert not source[0][row, len(expected) :].any()
                assert name == "mt" or source.length_B[row] == len(expected)
        seen.update(batch)
    assert seen == {"mt", "st", "asr"}


def test_a_batch_of_one_task_holds_one_task(tasks):
    for batch in take(9, tasks, ONE):
        assert [*rows_of(batch).values()] == [4]


def test_every_target_ends_with_an_end_and_only_padding_comes_after_it(tasks):
    for batch in take(6, tasks, ALL):
        for target in [t for rows in batch.values() for t in rows.target.tokens_BT]:
            end = target.tolist().index(1)
            assert (target[:end] > 1).all()
            assert not target[end + 1 :].any()


def test_frames_are_float32_and_all_else_is_int32(tasks):
    (batch,) = take(1, tasks, ALL)
    assert batch["st"].source.frames_BAC.dtype == np.float32
    whole = batch["st"].source.length_B, batch["mt"].source.tokens_BS, batch["mt"].target.tokens_BT
    assert {array.dtype for array in whole} == {np.dtype(np.int32)}
    assert batch["st"].counts_B.dtype == bool


# Some of the tasks.


@pytest.mark.parametrize("only", [(1,), (0, 2), (2, 0), (0, 1, 2)])
@pytest.mark.parametrize("batching", [ALL, ONE])
def test_only_the_tasks_that_are_trained_come_and_by_their_own_numbers(tasks, batching, only):
    seen = set()
    for batch in take(9, tasks, batching, only=only, multiple=2):
        rows = Counter(task for task, _ in examples_in(batch, tasks))  # recognized as that task's
        assert rows == dict.fromkeys(rows, 4)
        assert {NAMES[number] for number in rows} == set(batch)
        assert set(rows) == set(only) if batching is ALL else len(rows) == 1
        seen |= set(rows)
    assert seen == set(only)


def test_the_tasks_that_are_trained_share_what_the_others_leave(unequal):
    """80 and 5 examples of three tasks: 34 rows, or 85 batches, in that proportion."""
    (batch,) = take(1, unequal, Batching(size=17, buckets=1, alpha=1.0), only=(0, 2))
    assert rows_of(batch) == {"de": 32, "tr": 2}
    single = Batching(size=1, buckets=1, alpha=1.0, mixing="one_task")
    counts = Counter(name for batch in take(85, unequal, single, only=(0, 2)) for name in batch)
    assert [counts[name] for name in ("de", "ro", "tr")] == pytest.approx([80, 0, 5], abs=1)


# Which batch comes when.


@pytest.mark.parametrize("batching", [ALL, ONE, LEAST])
def test_batch_i_is_the_same_wherever_reading_began(tasks, batching):
    whole = take(11, tasks, batching)
    for first in (1, 4, 8):
        for found, expected in zip(
            take(3, tasks, batching, first=first), whole[first : first + 3], strict=True
        ):
            assert_equal(found, expected)


@pytest.mark.parametrize("threads", [0, 1, 5])
def test_batches_are_the_same_for_any_number_of_threads(tasks, monkeypatch, threads):
    expected, options = take(4, tasks, ALL, masks=MASKS), grain.ReadOptions

    def other(**given):
        assert given["num_threads"] != threads
        return options(**given | {"num_threads": threads})

    monkeypatch.setattr(grain, "ReadOptions", other)
    for found, batch in zip(take(4, tasks, ALL, masks=MASKS), expected, strict=True):
        assert_equal(found, batch)


def test_reading_starts_no_process_that_could_stay_behind(tasks):
    def children():
        stats = (path.read_text() for path in Path("/proc").glob("[0-9]*/stat"))
        parents = [stat.rpartition(")")[2].split()[1] for stat in stats]
        return parents.count(str(os.getpid()))

    before = children()
    batches = training_batches(tasks, ALL, seed=3)
    next(batches)
    assert children() == before


def test_reading_leaves_other_arithmetic_its_threads(tasks):
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        batches = training_batches(tasks, ALL, seed=3)
        next(batches)
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        assert {pool["num_threads"] for pool in pools} == {2}


def test_batches_are_the_same_from_examples_loaded_anew(corpus, tasks):
    for found, expected in zip(take(5, load(corpus), ALL), take(5, tasks, ALL), strict=True):
        assert_equal(found, expected)


def test_another_seed_gives_another_order(tasks):
    (first,) = take(1, tasks, ALL)
    other = next(training_batches(tasks, ALL, seed=4))
    assert examples_in(first, tasks) != examples_in(other, tasks)


@pytest.mark.parametrize("batching", [ALL, ONE, LEAST])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_processes_share_the_frames_of_each_task_and_all_know_the_rest(tasks, batching, count):
    """Each computes neighboring rows of every task: those that its devices hold."""
    for masks in (SpecAugment(), MASKS):
        (whole,) = take(1, tasks, batching, multiple=4, masks=masks)
        given = {"multiple": 4, "masks": masks}
        parts = [
            take(1, tasks, batching, **given, local=LocalRows(p, p + 1, count))[0]
            for p in range(count)
        ]
        for name, rows in whole.items():
            for p, part in enumerate(parts):
                np.testing.assert_array_equal(part[name].target.tokens_BT, rows.target.tokens_BT)
                if isinstance(rows.source, Text):
                    np.testing.assert_array_equal(part[name].source[0], rows.source.tokens_BS)
                    continue
                np.testing.assert_array_equal(part[name].source.length_B, rows.source.length_B)
                found, frames_BAC = part[name].source.frames_BAC, rows.source.frames_BAC
                mine = np.arange(len(found)) * count // len(found) == p
                np.testing.assert_array_equal(found[mine], frames_BAC[mine])
                assert found[mine].any((1, 2)).all() and not found[~mine].any()


@pytest.mark.parametrize("batching", [ALL, ONE, replace(ALL, alpha=1.0), IN_TOKENS])
@pytest.mark.parametrize("devices", [1, 2, 8])
def test_each_tasks_rows_can_be_split_over_the_devices(tasks, batching, devices):
    for batch in take(4, tasks, batching, multiple=devices):
        assert all(rows % devices == 0 for rows in rows_of(batch).values())


def test_two_tasks_of_the_same_examples_take_them_in_different_orders(corpus):
    st = load(corpus)[1].task
    twins = load_tasks([st, replace(st, name="twin")], "train", corpus.tokenizer)
    for batch in take(3, twins, ALL):
        rows = [i for _, i in examples_in(batch, twins)]
        assert rows[:4] != rows[4:]
