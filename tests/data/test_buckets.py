import functools
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskaware.config import ModelConfig
from taskaware.data.buckets import equal_mass, least_padding, shape_of
from taskaware.data.targets import TARGET_WORK, Shape, TokenRows
from taskaware.data.tasks import TaskExamples

FEW = 6


def of_lengths(source, target, speech=True):
    """Examples of which nothing is known but how long they are."""
    examples = TaskExamples.__new__(TaskExamples)
    examples.source_length = np.asarray(source, np.int32)
    examples.target = TokenRows([])
    examples.target.length = np.asarray(target, np.int32)
    examples.source = None if speech else examples.target
    examples.rows = [None] * len(source)
    examples.selection = np.arange(len(source))
    return examples


def spoken(seconds, spread, count, seed=0):
    """Lengths like those of a corpus: log-normal seconds, 3.6 ± 0.8 tokens each of them."""
    random = np.random.default_rng(seed)
    took = np.clip(random.lognormal(np.log(seconds), spread, count), 0.5, 30)
    rate = np.clip(random.normal(3.6, 0.8, count), 1, None)
    return of_lengths(took * 100, np.maximum(took * rate, 2).astype(int))


def padded(tasks, found, stride=8):
    """The work of a row in the mean, as the definition has it."""
    shapes = [shape_of([*zip(tasks, bucket.members, strict=True)]) for bucket in found]
    return sum(b.share * shape.work(stride) for b, shape in zip(found, shapes, strict=True))


def waste(tasks, found):
    """The share of the work that padding takes, of tasks that fill batches alike."""
    needed = np.mean(
        [
            np.mean(e.source_length / 8 + 1.6 * e.target.length)  # of speech
            for e in tasks
        ]
    )
    return 1 - needed / padded(tasks, found)


# Against a search through all ways.


def cuts(size):
    """All ways to cut so many neighbors into groups, as borders."""
    inner = range(1, size)
    return [
        (0, *chosen, size)
        for count in range(size)
        for chosen in itertools.combinations(inner, count)
    ]


def least_by_search(tasks, count, stride):
    """The least work of any cut by source, each part of it cut by target, of at most ``count``."""
    size = len(tasks[0].rows)
    orders = [np.argsort(e.source_length, kind="stable") for e in tasks]

    @functools.cache
    def part(first, last, pieces):
        best = np.inf
        members = [order[first:last] for order in orders]
        by_target = [
            m[np.argsort(e.target.length[m], kind="stable")]
            for e, m in zip(tasks, members, strict=True)
        ]
        longest = shape_of([*zip(tasks, members, strict=True)])
        for borders in cuts(last - first):
            if len(borders) - 1 <= pieces:
                work = 0.0
                for low, high in itertools.pairwise(borders):
                    piece = [(e, m[low:high]) for e, m in zip(tasks, by_target, strict=True)]
                    work += (high - low) * longest._replace(target=shape_of(piece).target).work(
                        stride
                    )
                best = min(best, work)
        return best

    best = np.inf
    for borders in cuts(size):
        parts = [*itertools.pairwise(borders)]
        for pieces in itertools.product(range(1, count + 1), repeat=len(parts)):
            if sum(pieces) <= count:
                found = sum(part(*ends, n) for ends, n in zip(parts, pieces, strict=True))
                best = min(best, found / size)
    return best


lengths = st.lists(st.tuples(st.integers(20, 400), st.integers(2, 40)), min_size=FEW, max_size=FEW)


@settings(max_examples=15, deadline=None)
@given(lengths, lengths, st.integers(1, 3), st.sampled_from([4, 8, 16]))
def test_no_other_cut_pads_less(speech, text, count, stride):
    tasks = [of_lengths(*zip(*speech, strict=True)), of_lengths(*zip(*text, strict=True), False)]
    found = least_padding(tasks, count, [None, None], stride)
    assert len(found) <= count
    # What a bucket's own members need is at most what its part of the sources needs.
    assert padded(tasks, found, stride) <= least_by_search(tasks, count, stride) + 1e-9


@settings(max_examples=15, deadline=None)
@given(lengths, st.integers(1, 3))
def test_it_never_pads_more_than_buckets_of_equal_mass(speech, count):
    tasks = [of_lengths(*zip(*speech, strict=True))]
    alike = padded(tasks, equal_mass(tasks, count, [None]))
    assert padded(tasks, least_padding(tasks, count, [None], 8)) <= alike + 1e-9


# What buckets are.


@pytest.mark.parametrize("cut", [equal_mass, functools.partial(least_padding, stride=8)])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_example_is_in_one_bucket_that_it_fits(cut, weighted):
    random = np.random.default_rng(1)
    tasks = [spoken(6, 0.6, 1000), of_lengths(random.integers(2, 60, 300), [5] * 300, False)]
    weights = [random.uniform(0.1, 3, len(e.rows)) if weighted else None for e in tasks]
    found = cut(tasks, 12, weights)
    assert 1 < len(found) <= 12
    assert sum(bucket.share for bucket in found) == pytest.approx(1)
    for number, examples in enumerate(tasks):
        members = np.concatenate([bucket.members[number] for bucket in found])
        assert sorted(members.tolist()) == [*range(len(examples.rows))]
    for bucket in found:
        shape = shape_of([*zip(tasks, bucket.members, strict=True)])
        assert shape.frames % 32 == shape.source % 4 == shape.target % 4 == 0
        for examples, members, width in zip(tasks, bucket.members, shape, strict=False):
            assert len(members)
            assert examples.source_length[members].max() <= width
            assert examples.target.length[members].max() <= shape.target


def test_a_bucket_has_the_same_share_of_every_task():
    random = np.random.default_rng(2)
    tasks = [spoken(6, 0.6, 5000), spoken(12, 0.4, 3000, seed=1)]
    weights = [random.uniform(0.5, 2, len(e.rows)) for e in tasks]
    for bucket in least_padding(tasks, 20, weights, 8):
        for members, weight in zip(bucket.members, weights, strict=True):
            assert weight[members].sum() / weight.sum() == pytest.approx(bucket.share, abs=0.004)


def test_examples_that_are_all_alike_need_one_shape():
    tasks = [of_lengths([100] * 50, [8] * 50)]
    (bucket,) = least_padding(tasks, 9, [None], 8)
    assert len(bucket.members[0]) == 50


# Four examples of speech, of 32 or of more frames, each with 4 or 20 target tokens, in two buckets.
# A row's work is frames / stride + 1.6 tokens, in the mean, by hand:
#   cut by source:  (32 + longer) / 2 / stride + 1.6 · 20
#   cut by target:  longer / stride + 1.6 · (4 + 20) / 2
# By source is less where (longer - 32) / 2 / stride > 12.8. Uneven cuts are more than the lesser.


@pytest.mark.parametrize(
    ("convolutions", "longer", "by_source"),
    [
        (2, 192, True),  # 80 / 4 > 12.8
        (3, 192, False),  # 80 / 8 < 12.8
        (4, 192, False),
        (2, 288, True),
        (3, 288, True),  # 128 / 8 > 12.8
        (4, 288, False),  # 128 / 16 < 12.8
    ],
)
def test_edges_stand_where_the_model_s_own_stride_has_least_padding(
    convolutions, longer, by_source
):
    stride = ModelConfig(cnn_channels=(4,) * convolutions).stride
    tasks = [of_lengths([32, 32, longer, longer], [4, 20, 4, 20])]
    found = [set(bucket.members[0].tolist()) for bucket in least_padding(tasks, 2, [None], stride)]
    assert sorted(found, key=min) == ([{0, 1}, {2, 3}] if by_source else [{0, 2}, {1, 3}])


def test_work_is_the_longer_source_and_the_target():
    assert Shape(frames=80, source=6, target=10).work(8) == 10 + TARGET_WORK * 10
    assert Shape(frames=80, source=6, target=10).work(4) == 20 + TARGET_WORK * 10
    assert Shape(frames=80, source=16, target=0).work(8) == 16


# What it saves. Means and spreads of MuST-C's and LibriSpeech's utterances.

CORPORA = {
    "MuST-C": (lambda: spoken(4.7, 0.75, 20_000), 0.15),
    "LibriSpeech": (lambda: of_librispeech(20_000), 0.08),
}


def of_librispeech(count):
    random = np.random.default_rng(0)
    took = np.where(
        random.uniform(size=count) < 0.7,
        random.normal(14.5, 1.2, count),
        random.uniform(2, 13, count),
    ).clip(1.5, 17)
    rate = random.normal(3.6, 0.8, count).clip(1.5)
    return of_lengths(took * 100, (took * rate).astype(int))


@pytest.mark.parametrize(("made", "most"), CORPORA.values(), ids=CORPORA)
def test_with_40_shapes_little_is_padding(made, most):
    tasks = [made()]
    found = least_padding(tasks, 40, [None], 8)
    assert len(found) <= 40
    assert waste(tasks, found) <= most
    assert waste(tasks, found) < 0.75 * waste(tasks, equal_mass(tasks, 40, [None]))
