import functools
import itertools
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import grain
import numpy as np
import pytest
import threadpoolctl

from taskaware.config import Batching, ModelConfig, SpecAugment, Task
from taskaware.data import batches
from taskaware.data.batches import (
    LocalRows,
    blank_batches,
    evaluation_batches,
    rows_per_batch,
    task_probabilities,
)
from taskaware.data.buckets import _FRAME_STEP, _TOKEN_STEP, Shape
from taskaware.data.corpora.base import NO_AUDIO, Example
from taskaware.data.corpora.write import prepare
from taskaware.data.rows import by_task
from taskaware.data.tasks import load_tasks
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.dims import Batch, Speech

training_batches = functools.partial(batches.training_batches, stride=8)
fingerprint = functools.partial(batches.fingerprint, stride=8)

ALL = Batching(size=4, buckets=3)
SMALL = Batching(size=1, buckets=3)
ONE = Batching(size=4, buckets=3, mixing="one_task")
LEAST = Batching(size=2, buckets=6, edges="least_padding")
IN_TOKENS = Batching(size=160, unit="tokens", buckets=3)


@pytest.fixture(scope="module")
def tasks(corpus):
    """Text first, so that the order of rows differs from the order of tasks."""
    return load(corpus)


def load(corpus, split="train", folder=None, tokenizer=None, **changes):
    data = (str(folder or corpus.folder),)
    mt = Task(name="mt", source="text", target="translation", metric="bleu", data=data)
    st = replace(mt, name="st", source="speech")
    asr = replace(st, name="asr", target="transcript", metric="wer")
    changed = [replace(task, **changes) for task in (mt, st, asr)]
    return load_tasks(changed, split, tokenizer or corpus.tokenizer)


def take(count, tasks, batching, **options):
    return list(itertools.islice(training_batches(tasks, batching, seed=3, **options), count))


def shapes_of(tasks, batching):
    """Of all batches that training may see."""
    return [*map(shape_of, blank_batches(tasks, batching, stride=8))]


def leaves(batch):
    """A batch's arrays, by name, those that are there."""
    named = batch._asdict()
    if (speech := named.pop("speech")) is not None:
        named |= speech._asdict()
    return {name: array for name, array in named.items() if array is not None}


def assert_equal(found, expected):
    assert leaves(found).keys() == leaves(expected).keys()
    for name, array in leaves(expected).items():
        np.testing.assert_array_equal(leaves(found)[name], array)


def shape_of(batch):
    frames = 0 if batch.speech is None else batch.speech.frames_BAC.shape[1]
    source = 0 if batch.source_BS is None else batch.source_BS.shape[1]
    return Shape(frames, source, batch.target_BT.shape[1])


@functools.cache
def index_of(examples):
    """Where each target stands; no two are alike."""
    known = {tuple(examples.target[i].tolist()): i for i in range(len(examples.rows))}
    assert len(known) == len(examples.rows)
    return known


def examples_in(batch, tasks):
    """The (task, example) of each row, recognized by its target."""
    found = []
    for task, target in zip(batch.task_B.tolist(), batch.target_BT.tolist(), strict=True):
        tokens = tuple(target[: target.index(1) + 1])
        found.append((task, index_of(tasks[task])[tokens]))
    return found


# What is in a batch.


@pytest.mark.parametrize("batching", [ALL, ONE, LEAST])
def test_every_row_is_an_example_with_its_source_its_target_and_its_task(tasks, batching):
    seen = set()
    for batch in take(6, tasks, batching):
        rows = examples_in(batch, tasks)
        speech = [(task, i) for task, i in rows if task > 0]
        text = [i for task, i in rows if task == 0]
        assert rows[: len(speech)] == speech  # speech rows come first
        for row, (task, i) in enumerate(speech):
            frames = tasks[task].frames(i)
            assert batch.speech.length_B[row] == len(frames)
            np.testing.assert_array_equal(batch.speech.frames_BAC[row, : len(frames)], frames)
            assert not batch.speech.frames_BAC[row, len(frames) :].any()
        for row, i in enumerate(text):
            tokens = tasks[0].source[i]
            np.testing.assert_array_equal(batch.source_BS[row, : len(tokens)], tokens)
            assert not batch.source_BS[row, len(tokens) :].any()
        assert (batch.speech is None, batch.source_BS is None) == (not speech, not text)
        seen.update(task for task, _ in rows)
    assert seen == {0, 1, 2}


def test_a_batch_of_one_task_holds_one_task(tasks):
    for batch in take(9, tasks, ONE):
        assert len(set(batch.task_B.tolist())) == 1
        assert len(batch.task_B) == 4
        assert (batch.speech is None) == (batch.source_BS is not None)


def test_every_target_ends_with_an_end_and_only_padding_comes_after_it(tasks):
    for batch in take(6, tasks, ALL):
        for target in batch.target_BT:
            end = target.tolist().index(1)
            assert (target[:end] > 1).all()
            assert not target[end + 1 :].any()


def test_frames_are_float32_and_all_else_is_int32(tasks):
    (batch,) = take(1, tasks, ALL)
    kinds = {name: array.dtype for name, array in leaves(batch).items()}
    assert kinds.pop("frames_BAC") == np.float32
    assert set(kinds.values()) == {np.dtype(np.int32)}


# Some of the tasks.


@pytest.mark.parametrize("only", [(1,), (0, 2), (2, 0), (0, 1, 2)])
@pytest.mark.parametrize("batching", [ALL, ONE])
def test_only_the_tasks_that_are_trained_come_and_by_their_own_numbers(tasks, batching, only):
    seen = set()
    for batch in take(9, tasks, batching, only=only, multiple=2):
        rows = Counter(task for task, _ in examples_in(batch, tasks))  # recognized as that task's
        assert rows == dict.fromkeys(rows, 4)
        assert set(rows) == set(only) if batching is ALL else len(rows) == 1
        assert (batch.speech is None) == (not {1, 2} & set(rows))
        assert (batch.source_BS is None) == (0 not in rows)
        seen |= set(rows)
    assert seen == set(only)


def test_the_tasks_that_are_trained_share_what_the_others_leave(unequal):
    """80 and 5 examples of three tasks: 34 rows, or 85 batches, in that proportion."""
    (batch,) = take(1, unequal, Batching(size=17, buckets=1, alpha=1.0), only=(0, 2))
    assert Counter(batch.task_B.tolist()) == {0: 32, 2: 2}
    single = Batching(size=1, buckets=1, alpha=1.0, mixing="one_task")
    counts = Counter(int(batch.task_B[0]) for batch in take(85, unequal, single, only=(0, 2)))
    assert [counts[task] for task in range(3)] == pytest.approx([80, 0, 5], abs=1)


# A batch, task by task.


def joined(parts):
    """Batches one below the other."""
    speech = [part.speech for part in parts if part.speech is not None]
    source = [part.source_BS for part in parts if part.source_BS is not None]
    return Batch(
        Speech(*map(np.concatenate, zip(*speech, strict=True))) if speech else None,
        np.concatenate(source) if source else None,
        np.concatenate([part.target_BT for part in parts]),
        np.concatenate([part.task_B for part in parts]),
    )


@pytest.mark.parametrize(
    ("batching", "only", "order"),
    [
        (ALL, None, [1, 2, 0]),  # speech comes first
        (replace(ALL, alpha=1.0), None, [1, 2, 0]),
        (ALL, (0, 2), [2, 0]),
        (ALL, (1, 2), [1, 2]),
        (ALL, (1,), [1]),
        (ALL, (0,), [0]),
    ],
)
def test_the_parts_of_a_batch_by_task_are_the_batch(tasks, batching, only, order):
    for batch in take(3, tasks, batching, only=only):
        parts = by_task(batch)
        assert [set(part.task_B.tolist()) for part in parts] == [{task} for task in order]
        for part, task in zip(parts, order, strict=True):
            assert {len(array) for array in leaves(part).values()} == {len(part.task_B)}
            assert (part.speech is None, part.source_BS is None) == (task == 0, task > 0)
        assert_equal(joined(parts), batch)


def test_a_batch_of_text_tasks_has_parts_of_text(unequal):
    (batch,) = take(1, unequal, Batching(size=14, buckets=1, alpha=1.0))
    parts = by_task(batch)
    assert [part.task_B.tolist() for part in parts] == [[0] * 32, [1] * 8, [2] * 2]
    assert [len(part.source_BS) for part in parts] == [32, 8, 2]
    assert all(part.speech is None for part in parts)
    assert_equal(joined(parts), batch)


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
@pytest.mark.parametrize("by_task", [False, True])
def test_processes_share_the_frames_of_a_batch_and_all_know_the_rest(
    tasks, batching, count, by_task
):
    """Each computes neighboring rows of the batch, or of every task where tasks go their ways."""
    for masks in (SpecAugment(), MASKS):
        (whole,) = take(1, tasks, batching, multiple=4, masks=masks)
        owns = [LocalRows(p, p + 1, count, by_task) for p in range(count)]
        parts = [take(1, tasks, batching, multiple=4, masks=masks, own=own)[0] for own in owns]
        for part in parts:
            np.testing.assert_equal(part._replace(speech=None), whole._replace(speech=None))
        if whole.speech is None:
            continue
        spoken = len(whole.speech.length_B)
        tasks_of = whole.task_B[:spoken] if by_task else np.zeros(spoken, int)
        held = np.zeros(spoken, int)
        for p, part in enumerate(parts):
            np.testing.assert_array_equal(part.speech.length_B, whole.speech.length_B)
            own = part.speech.frames_BAC.any((1, 2))
            held += own
            np.testing.assert_array_equal(part.speech.frames_BAC[own], whole.speech.frames_BAC[own])
            for task in np.unique(tasks_of):
                rows = np.flatnonzero(tasks_of == task)
                assert own[rows].tolist() == [i * count // len(rows) == p for i in range(len(rows))]
        assert (held == 1).all()


@pytest.mark.parametrize("batching", [ALL, ONE, replace(ALL, alpha=1.0), IN_TOKENS])
@pytest.mark.parametrize("devices", [1, 2, 8])
def test_each_tasks_rows_can_be_split_over_the_devices(tasks, batching, devices):
    for batch in take(4, tasks, batching, multiple=devices):
        assert all(rows % devices == 0 for rows in Counter(batch.task_B.tolist()).values())


def test_two_tasks_of_the_same_examples_take_them_in_different_orders(corpus):
    st = load(corpus)[1].task
    twins = load_tasks([st, replace(st, name="twin")], "train", corpus.tokenizer)
    for batch in take(3, twins, ALL):
        rows = [i for _, i in examples_in(batch, twins)]
        assert rows[:4] != rows[4:]


# SpecAugment.

MASKS = SpecAugment(frequency_masks=2, time_masks=1, time_share=0.5)


def masked_in(batch, plain):
    """Where a batch's frames are put to zero; all else must be as it is without masks."""
    found, expected = batch.speech.frames_BAC, plain.speech.frames_BAC
    zero = (found == 0) & (expected != 0)
    np.testing.assert_array_equal(np.where(zero, expected, found), expected)
    assert_equal(batch._replace(speech=None), plain._replace(speech=None))
    np.testing.assert_array_equal(batch.speech.length_B, plain.speech.length_B)
    return zero


def test_masks_put_bands_to_zero_in_each_utterance_and_leave_all_else(tasks):
    for batch, plain in zip(take(6, tasks, ALL, masks=MASKS), take(6, tasks, ALL), strict=True):
        for zero, length in zip(masked_in(batch, plain), plain.speech.length_B, strict=True):
            # A frame is masked whole, or in the channels that are masked in all frames.
            frames = zero[:length].all(axis=1)
            channels = zero[:length].all(axis=0)
            np.testing.assert_array_equal(zero[:length], frames[:, None] | channels)
            assert frames.sum() <= length // 2
            assert channels.sum() <= 2 * 27


def test_every_row_of_every_batch_is_masked_in_a_way_of_its_own(tasks):
    """ST and ASR hear the same recordings, epoch after epoch; one row in 28² may stay whole."""
    bands, drawn = replace(MASKS, time_masks=0), set()
    both = zip(take(48, tasks, ALL, masks=bands), take(48, tasks, ALL), strict=True)
    for batch, plain in both:
        drawn |= {zero.any(axis=0).tobytes() for zero in masked_in(batch, plain)}
    assert len(drawn) > 0.95 * 48 * 8


@pytest.mark.parametrize("batching", [ALL, ONE])
def test_a_masked_batch_is_the_same_wherever_reading_began(tasks, batching):
    whole = take(11, tasks, batching, masks=MASKS)
    for first in (1, 4, 8):
        resumed = take(3, tasks, batching, masks=MASKS, first=first)
        for found, expected in zip(resumed, whole[first : first + 3], strict=True):
            assert_equal(found, expected)


def test_another_seed_gives_other_masks(corpus):
    """Of one example in one bucket there is one order, whatever the seed."""
    one = load(corpus, target_language="tr")[1:2]
    first, second = (
        next(training_batches(one, SMALL, seed=seed, masks=MASKS)).speech.frames_BAC
        for seed in (3, 4)
    )
    assert not np.array_equal(first, second)


def test_masks_leave_the_frames_that_tasks_share_as_they_are(corpus):
    tasks = load(corpus)
    before = [tasks[1].frames(i).copy() for i in range(len(tasks[1].rows))]
    take(12, tasks, ALL, masks=MASKS)
    for i, frames in enumerate(before):
        np.testing.assert_array_equal(tasks[1].frames(i), frames)


def test_without_masks_batches_and_fingerprint_are_those_of_a_run_that_knows_none(corpus, tasks):
    off = SpecAugment(frequency_width=5, time_width=3)
    for found, expected in zip(take(4, tasks, ALL, masks=off), take(4, tasks, ALL), strict=True):
        assert_equal(found, expected)
    settings = (tasks, ALL, 3, corpus.tokenizer.sha256)
    assert fingerprint(*settings, masks=off) == fingerprint(*settings)


def test_masks_touch_no_text(tasks):
    (batch,) = take(1, tasks, ALL, only=(0,), masks=MASKS)
    assert_equal(batch, take(1, tasks, ALL, only=(0,))[0])


# Buckets.


def test_200_batches_have_as_many_shapes_as_there_are_buckets(tasks):
    shapes = Counter(map(shape_of, take(200, tasks, SMALL)))
    assert set(shapes) == set(shapes_of(tasks, SMALL))
    assert len(shapes) == 3
    assert all(66 <= times <= 67 for times in shapes.values())


def test_with_least_padding_there_are_at_most_as_many_shapes_as_buckets(tasks):
    shapes = set(map(shape_of, take(100, tasks, LEAST)))
    assert shapes == set(shapes_of(tasks, LEAST))
    assert 2 < len(shapes) <= LEAST.buckets


def test_batches_of_one_task_have_as_many_shapes_as_that_task_has_buckets(tasks):
    shapes = {
        (int(batch.task_B[0]), shape_of(batch)) for batch in take(40, tasks, replace(ONE, size=1))
    }
    assert Counter(task for task, _ in shapes) == {0: 3, 1: 3, 2: 3}


def test_shapes_are_rounded_up_from_the_longest_of_their_bucket(tasks):
    shapes = shapes_of(tasks, ALL)
    for shape in shapes:
        assert shape.frames % _FRAME_STEP == shape.source % _TOKEN_STEP == 0
        assert shape.target % _TOKEN_STEP == 0
    longest = Shape(
        frames=max(int(tasks[task].source_length.max()) for task in (1, 2)),
        source=int(tasks[0].source.length.max()),
        target=max(int(examples.target.length.max()) for examples in tasks),
    )
    largest = Shape(*map(max, zip(*shapes, strict=True)))
    assert longest.frames <= largest.frames < longest.frames + _FRAME_STEP
    assert longest.source <= largest.source < longest.source + _TOKEN_STEP
    assert longest.target <= largest.target < longest.target + _TOKEN_STEP


def test_every_block_of_batches_visits_each_bucket_once(tasks):
    shapes = [shape_of(batch) for batch in take(30, tasks, SMALL)]
    blocks = [tuple(shapes[first : first + 3]) for first in range(0, 30, 3)]
    assert all(set(block) == set(shapes) for block in blocks)
    assert len(set(blocks)) > 1  # in an order drawn for each block


def test_every_example_comes_once_an_epoch_within_its_task_and_bucket(tasks):
    drawn = {}
    for batch in take(48, tasks, ALL):
        for task, i in examples_in(batch, tasks):
            drawn.setdefault((task, shape_of(batch)), []).append(i)
    for task, examples in enumerate(tasks):
        buckets = [set(order) for (of, _), order in drawn.items() if of == task]
        assert sorted(i for bucket in buckets for i in bucket) == list(range(len(examples)))
        sizes = [len(bucket) for bucket in buckets]
        assert max(sizes) - min(sizes) <= 1
        lengths = [[examples.source_length[i] for i in bucket] for bucket in buckets]
        for shorter, longer in itertools.pairwise(sorted(lengths, key=min)):
            assert max(shorter) <= min(longer)
    for order in drawn.values():
        epoch = len(set(order))
        epochs = [order[first : first + epoch] for first in range(0, len(order) - epoch, epoch)]
        assert len(epochs) >= 2
        assert all(sorted(one) == sorted(epochs[0]) for one in epochs)
        assert epochs[0] != epochs[1]


@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_with_least_padding_every_example_comes_as_often_as_any_other(tasks, unit):
    size = 2 if unit == "examples" else 60
    batches = take(400, tasks, replace(LEAST, unit=unit, size=size, mixing="one_task"))
    drawn = Counter(example for batch in batches for example in examples_in(batch, tasks))
    for task, examples in enumerate(tasks):
        often = [drawn[task, i] for i in range(len(examples))]
        assert min(often) > 2
        assert max(often) - min(often) <= 2 + max(often) // 8


def test_there_are_no_more_buckets_than_the_smallest_task_has_examples(corpus):
    few = [load(corpus, target_language="tr")[1], load(corpus)[2]]
    assert [len(examples) for examples in few] == [1, 28]
    assert len(set(map(shape_of, take(5, few, replace(SMALL, buckets=4))))) == 1


# Shares.


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


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """Three text tasks of 80, 20 and 5 examples."""
    folder = tmp_path_factory.mktemp("unequal")

    def rows(language, count):
        for i in range(count):
            text = f"{language} {i:02d}"
            yield Example(text, NO_AUDIO, "", f"en {i:02d}", text, "en", language, "c")

    read = [lambda: rows("de", 80), lambda: rows("ro", 20), lambda: rows("tr", 5)]
    prepare("unequal", lambda: {"train": read}, folder / "data")
    train_tokenizer(["de ro tr en 0123456789"], 20, folder / "tokenizer")
    one = Task(name="one", source="text", target="translation", metric="bleu")
    named = [
        replace(one, name=language, target_language=language, data=(str(folder / "data"),))
        for language in ("de", "ro", "tr")
    ]
    return load_tasks(named, "train", Tokenizer.load(folder / "tokenizer"))


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
    counts = Counter(int(batch.task_B[0]) for batch in take(105, unequal, batching))
    assert [counts[task] for task in range(3)] == pytest.approx(expected, abs=1)


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
        assert Counter(batch.task_B.tolist()) == dict(enumerate(rows))


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
        lengths.setdefault(batch.target_BT.shape[1], set()).update(seen)
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
    # 60 rows in proportion 67 : 26 : 28; the text rows of task 0 come last.
    assert Counter(batch.task_B.tolist()) == {0: 33, 1: 13, 2: 14}


def test_a_small_task_has_a_row_in_every_batch(unequal):
    for batch in take(3, unequal, Batching(size=2, buckets=2, alpha=3.0)):
        assert set(batch.task_B.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("mixing", ["all_tasks", "one_task"])
@pytest.mark.parametrize(
    ("buckets", "count"), [(1, 210), pytest.param(2, 420, marks=pytest.mark.long)]
)
def test_rows_a_batch_are_those_of_many_batches(unequal, mixing, alpha, buckets, count):
    batching = Batching(size=4, buckets=buckets, mixing=mixing, alpha=alpha)
    found = Counter(task for b in take(count, unequal, batching) for task in b.task_B.tolist())
    expected = rows_per_batch([len(examples) for examples in unequal], batching)
    assert [found[task] / count for task in range(3)] == pytest.approx(expected, abs=0.02)


# Sizes in tokens.


@pytest.mark.parametrize("mixing", ["all_tasks", "one_task"])
def test_a_batch_in_tokens_keeps_to_its_budget_but_for_rounding(tasks, mixing):
    budget = 160
    batching = Batching(size=budget, unit="tokens", buckets=3, mixing=mixing)
    rows_of = {}
    for batch in take(15, tasks, batching):
        shape = shape_of(batch)
        longest = max(shape.source, shape.target, shape.frames / 8)
        for task, rows in Counter(batch.task_B.tolist()).items():
            assert budget - longest / 2 <= rows * longest <= budget + longest / 2
            rows_of.setdefault(task, {})[longest] = rows
    assert set(rows_of) == {0, 1, 2}
    for rows in rows_of.values():
        assert len(rows) > 1
        in_order = [rows[longest] for longest in sorted(rows)]
        assert in_order == sorted(in_order, reverse=True)  # short examples, large batches
        assert in_order[0] > in_order[-1]


@pytest.mark.parametrize(("channels", "positions"), [((4, 4), 64), ((4,) * 3, 32), ((4,) * 4, 16)])
def test_a_position_of_speech_counts_as_a_token_in_tokens(corpus, channels, positions):
    batching = Batching(size=320, unit="tokens", buckets=1, max_tokens=50)
    st = load(corpus)[1].task
    examples = load_tasks([st], "extreme", corpus.tokenizer, batching)
    (batch,) = take(1, examples, batching, stride=ModelConfig(cnn_channels=channels).stride)
    # The longest has 2.5 s, 248 frames, which are rounded up to 256: each convolution halves them.
    assert batch.target_BT.shape[1] <= positions
    assert batch.speech.frames_BAC.shape == (320 // positions, 256, 80)


def test_an_example_longer_than_the_budget_comes_alone(tasks):
    for batch in take(3, tasks, Batching(size=5, unit="tokens", buckets=1)):
        assert Counter(batch.task_B.tolist()) == {0: 1, 1: 1, 2: 1}


# Evaluation.


@pytest.mark.parametrize("task", [0, 1])
@pytest.mark.parametrize(("size", "buckets"), [(4, 2), (3, 1), (100, 2), (1, 3)])
def test_evaluation_visits_every_example_once(tasks, task, size, buckets):
    examples = tasks[task]
    visited, shapes = [], set()
    for indices, batch in evaluation_batches(task, examples, size=size, buckets=buckets):
        rows = examples_in(batch, tasks)
        assert len(rows) == size
        fill = [(task, int(indices[-1]))] * (size - len(indices))
        assert rows == [(task, int(i)) for i in indices] + fill
        visited.extend(indices)
        shapes.add(shape_of(batch))
    assert sorted(visited) == list(range(len(examples.rows)))
    assert len(shapes) <= buckets


def test_evaluation_visits_what_training_leaves_out(corpus):
    task = load(corpus)[1].task
    limits = Batching(max_seconds=2.0, max_tokens=50)
    (st,) = load_tasks([task], "extreme", corpus.tokenizer, limits)
    assert len(st) < len(st.rows)
    visited = [i for indices, _ in evaluation_batches(0, st, size=4) for i in indices]
    assert sorted(visited) == list(range(len(st.rows)))


def test_evaluation_may_be_of_some_examples_alone(tasks):
    only = [9, 2, 40]
    visited = [i for rows, _ in evaluation_batches(0, tasks[0], size=2, only=only) for i in rows]
    assert sorted(visited) == sorted(only)


# The fingerprint.


def test_the_fingerprint_is_that_of_the_same_data_wherever_it_lies(corpus, tasks, tmp_path):
    known = fingerprint(tasks, ALL, 3, corpus.tokenizer.sha256)
    assert fingerprint(load(corpus), ALL, 3, corpus.tokenizer.sha256) == known
    shutil.copytree(corpus.folder, tmp_path / "moved")
    moved = load(corpus, folder=tmp_path / "moved")
    assert moved[0].task.data != tasks[0].task.data
    assert fingerprint(moved, ALL, 3, corpus.tokenizer.sha256) == known


def test_the_fingerprint_changes_with_all_that_decides_which_batches_come(corpus, tasks, tmp_path):
    sha256 = corpus.tokenizer.sha256
    changed = load(corpus)
    changed[0].rows[5] = changed[0].rows[5]._replace(target_text="another text")
    longer = load(corpus)
    longer[1].rows[5] = longer[1].rows[5]._replace(num_samples=9999)
    (prefixed,) = load_tasks([replace(tasks[0].task, prefix="say")], "train", corpus.tokenizer)
    train_tokenizer(["say read sag lies"], 20, tmp_path / "other")
    other = Tokenizer.load(tmp_path / "other")
    found = [
        fingerprint(tasks, ALL, 3, sha256),
        fingerprint(tasks, ALL, 4, sha256),
        fingerprint(tasks, replace(ALL, size=5), 3, sha256),
        fingerprint(tasks, replace(ALL, alpha=0.5), 3, sha256),
        fingerprint(tasks, replace(ALL, buckets=2), 3, sha256),
        fingerprint(tasks, ONE, 3, sha256),
        fingerprint(tasks, replace(ALL, edges="least_padding"), 3, sha256),
        fingerprint(tasks, ALL, 3, other.sha256),
        fingerprint(changed, ALL, 3, sha256),
        fingerprint(longer, ALL, 3, sha256),
        fingerprint(tasks[:2], ALL, 3, sha256),
        fingerprint(tasks[::-1], ALL, 3, sha256),
        fingerprint(load(corpus, "test"), ALL, 3, sha256),
        fingerprint(tasks, ALL, 3, sha256, only=(0, 2)),
        fingerprint(tasks, ALL, 3, sha256, only=(0, 1)),
        fingerprint(tasks, ONE, 3, sha256, only=(0,)),
        fingerprint(tasks, ONE, 3, sha256, only=(1,)),
        fingerprint([prefixed, *tasks[1:]], ALL, 3, sha256),
        fingerprint(tasks, ALL, 3, sha256, masks=MASKS),
        fingerprint(tasks, ALL, 3, sha256, masks=replace(MASKS, time_width=3)),
        fingerprint(tasks, ALL, 3, sha256, masks=MASKS, only=(0, 2)),
    ]
    assert len(set(found)) == len(found)
