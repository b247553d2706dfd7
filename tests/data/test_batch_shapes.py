"""Shapes of batches: buckets, and sizes in tokens."""

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from flax import nnx
from support.toy_batches import (
    ALL,
    LEAST,
    ONE,
    SMALL,
    examples_in,
    load,
    rows_of,
    shape_of,
    shapes_of,
    take,
)

from taskaware.config import Batching, ModelConfig
from taskaware.data.buckets import _FRAME_STEP, _TOKEN_STEP
from taskaware.data.targets import Shape
from taskaware.data.tasks import load_tasks
from taskaware.models.frontends import SpeechFrontend

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
    shapes = {(*batch, shape_of(batch)) for batch in take(40, tasks, replace(ONE, size=1))}
    assert Counter(name for name, _ in shapes) == {"mt": 3, "st": 3, "asr": 3}


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


# Sizes in tokens.


@pytest.mark.parametrize("mixing", ["all_tasks", "one_task"])
def test_a_batch_in_tokens_keeps_to_its_budget_but_for_rounding(tasks, mixing):
    budget = 160
    batching = Batching(size=budget, unit="tokens", buckets=3, mixing=mixing)
    found = {}
    for batch in take(15, tasks, batching):
        shape = shape_of(batch)
        longest = max(shape.source, shape.target, shape.frames / 8)
        for name, rows in rows_of(batch).items():
            assert budget - longest / 2 <= rows * longest <= budget + longest / 2
            found.setdefault(name, {})[longest] = rows
    assert set(found) == {"mt", "st", "asr"}
    for rows in found.values():
        assert len(rows) > 1
        in_order = [rows[longest] for longest in sorted(rows)]
        assert in_order == sorted(in_order, reverse=True)  # short examples, large batches
        assert in_order[0] > in_order[-1]


# Two, three and four convolutions, written out by hand: the longest of the split has 2.5 s, which
# are 248 frames, padded to 256; each convolution halves them.
CONVOLUTIONS = {
    2: {"stride": 4, "positions": 64, "rows": 5},
    3: {"stride": 8, "positions": 32, "rows": 10},
    4: {"stride": 16, "positions": 16, "rows": 20},
}


@pytest.mark.parametrize(("count", "expected"), CONVOLUTIONS.items())
def test_a_position_of_speech_counts_as_a_token_in_tokens(corpus, count, expected):
    model = ModelConfig(cnn_channels=(4,) * count)
    assert model.stride == expected["stride"]
    batching = Batching(size=320, unit="tokens", buckets=1, max_tokens=50)
    st = load(corpus)[1].task
    examples = load_tasks([st], "extreme", corpus.tokenizer, batching)
    (batch,) = take(1, examples, batching, stride=model.stride)
    frames_BAC = batch["st"].source.frames_BAC
    assert batch["st"].target.tokens_BT.shape[1] <= expected["positions"]
    assert frames_BAC.shape == (expected["rows"], 256, 80)
    frontend = SpeechFrontend(8, channels=model.cnn_channels, dtype=np.float32, rngs=nnx.Rngs(0))
    x_BSD, mask_BS = frontend(frames_BAC[:1], batch["st"].source.length_B[:1])
    assert x_BSD.shape[1] == mask_BS.shape[1] == expected["positions"]


def test_an_example_longer_than_the_budget_comes_alone(tasks):
    for batch in take(3, tasks, Batching(size=5, unit="tokens", buckets=1)):
        assert rows_of(batch) == {"mt": 1, "st": 1, "asr": 1}
