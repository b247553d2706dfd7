"""Batches of any mix of tasks, in a bounded number of shapes, by random access.

Batch i is a pure function of (examples, Batching, SpecAugment, seed, i): resuming is starting at i,
and the global batches are the same for any number of processes. Length buckets hold equal mass, and
every block of K batches visits each of the K buckets once, in an order drawn for that block; or
bucket edges minimize padding, and a bucket comes as often as its share of the examples requires.
"""

import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from taskaware.config import Batching, SpecAugment
from taskaware.data.audio.augment import spec_augment
from taskaware.data.buckets import equal_mass, least_padding, shape_of
from taskaware.data.rows import collate
from taskaware.data.targets import Shape
from taskaware.data.tasks import TaskExamples
from taskaware.dims import Batch, Speech

_ENDLESS = 2**40
ORDER = "a permutation an epoch"
"""How examples are shuffled: part of every fingerprint, so change it when the shuffling changes."""
NO_MASKS = SpecAugment()


def task_probabilities(counts: Sequence[int], alpha: float) -> np.ndarray:
    """Return p ∝ n^alpha over tasks of n examples each (paper §2.3; D13).

    Example:
        >>> task_probabilities([100, 300], 1.0).tolist()
        [0.25, 0.75]
        >>> task_probabilities([100, 300], 0.0).tolist()
        [0.5, 0.5]
    """
    weight = np.asarray(counts, np.float64) ** alpha
    return weight / weight.sum()


class LocalRows(NamedTuple):
    """Which rows of speech this process computes features for.

    Each task's rows are split into ``parts``; this process computes ``start`` up to ``end``.
    """

    start: int = 0
    end: int = 1
    parts: int = 1

    def of(self, rows: int) -> range:
        """Return which of a task's rows are computed here, given their number."""
        return range(rows * self.start // self.parts, rows * self.end // self.parts)


_ALL_ROWS = LocalRows()


class MixedBatches:
    """Batches with a fixed share of rows for each of some tasks, as a Grain source.

    Attributes:
        tasks: the examples of each task.
        shapes: the padded shape of each bucket.
        rows: the number of rows per bucket and task.
    """

    # All tasks are cut into the same number of buckets, and a batch takes its rows of every task
    # from bucket k of each, so that long examples meet long ones and there is one shape per bucket,
    # not one per combination of lengths. A bucket has an endless stream of examples per task, and a
    # task takes ``rows`` of them per visit: its n-th visit takes those from n · rows on. Which
    # bucket batch i visits, and for the how many-th time, follows from i alone (``_turn``), so that
    # any batch can be computed without the ones before it, on any thread or process.

    def __init__(
        self,
        numbers: Sequence[int],
        tasks: Sequence[TaskExamples],
        shares: np.ndarray,
        batching: Batching,
        multiple: int,
        seed: int,
        stride: int,
        local: LocalRows = _ALL_ROWS,
        masks: SpecAugment = NO_MASKS,
    ):
        """Cut the tasks' examples into buckets.

        Args:
            numbers: each task's place in the experiment, which seeds its order and its masks.
            tasks: their examples.
            shares: each task's share of the rows.
            batching: sizes and buckets.
            multiple: of which each task's rows are a multiple.
            seed: of the order of examples.
            stride: frames of speech per position of the model.
            local: rows whose frames are computed; all others' are zero.
            masks: over the frames of speech.
        """
        self.tasks, self._numbers = tasks, numbers
        self._seed, self._local, self._masks = seed, local, masks
        count = min(batching.buckets, *map(len, tasks))
        weights = [_weights(examples, batching.corpus_alpha) for examples in tasks]
        if batching.edges == "least_padding":
            buckets = least_padding(tasks, count, weights, stride)
        else:
            buckets = equal_mass(tasks, count, weights)
        self.shapes = [shape_of([*zip(tasks, b.members, strict=True)]) for b in buckets]
        self.rows = [
            _rows(shape, shares, len(tasks), batching, multiple, stride) for shape in self.shapes
        ]
        self._streams: list[list[Any]] = [
            [
                _stream(e, bucket.members[i], batching.corpus_alpha, _mix(seed, number, k))
                for k, bucket in enumerate(buckets)
            ]
            for i, (number, e) in enumerate(zip(numbers, tasks, strict=True))
        ]
        self._turns: Any = None
        if batching.edges == "least_padding":
            often = [b.share / rows[0] for b, rows in zip(buckets, self.rows, strict=True)]
            self._turns = _turns(often)

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, index) -> Batch:
        bucket, visit = self._turn(int(index))
        batch = {}
        of_tasks = zip(self._numbers, self.tasks, self._streams, self.rows[bucket], strict=True)
        for number, examples, streams, count in of_tasks:
            indices = [int(streams[bucket][visit * count + i]) for i in range(count)]
            local = self._local.of(count)
            rows = collate(examples, indices, self.shapes[bucket], local)
            if isinstance(rows.source, Speech) and self._masks.is_on:
                self._mask(rows.source, int(index), number, local)
            batch[examples.task.name] = rows
        return batch

    def _turn(self, index: int) -> tuple[int, int]:
        """Return the bucket of a batch, and how many earlier batches were of that bucket."""
        if self._turns is not None:
            return self._turns[index]
        block, turn = divmod(index, len(self.shapes))
        order = np.random.default_rng((self._seed, block)).permutation(len(self.shapes))
        return int(order[turn]), block

    def _mask(self, speech: Speech, index: int, task: int, local: Collection[int]) -> None:
        """Mask frames in place: ``collate`` made a copy for this batch."""
        for row in local:
            # 1 +, since NumPy ignores zeros at the end of a seed.
            rng = np.random.default_rng((self._seed, index, row, 1 + task))
            frames: Any = speech.frames_BAC[row, : speech.length_B[row]]
            frames[:] = spec_augment(frames, self._masks, rng)


def training_batches(
    tasks: Sequence[TaskExamples],
    batching: Batching,
    *,
    seed: int,
    stride: int,
    first: int = 0,
    multiple: int = 1,
    only: Sequence[int] | None = None,
    local: LocalRows = _ALL_ROWS,
    masks: SpecAugment = NO_MASKS,
) -> Iterator[Batch]:
    """Yield batches, endlessly, from number ``first`` on.

    Args:
        tasks: the experiment's tasks in order.
        batching: sizes, mixing and buckets.
        seed: of the order of examples.
        stride: frames of speech per position of the model: ``ModelConfig.stride``.
        first: number of batches already used.
        multiple: of which each task's rows are a multiple: devices over which they are split.
        only: indices of the tasks that are trained on; all by default.
        local: the rows whose frames this process computes; all others' are zero.
        masks: over the frames of speech, drawn anew for each row of each batch.

    Yields:
        Rows by task name, in host memory.
    """
    settings = (batching, multiple, seed, stride, local, masks)
    sources, probabilities = mixed_sources(tasks, only, *settings)
    datasets = [grain.MapDataset.source(source) for source in sources]
    mixed = datasets[0] if len(datasets) == 1 else grain.MapDataset.mix(datasets, probabilities)
    dataset = mixed[first:]
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
    return iter(dataset.to_iter_dataset(options))


def rows_per_batch(counts: Sequence[int], batching: Batching, multiple: int = 1) -> list[float]:
    """Return the mean number of examples of each task per batch, where the unit is examples.

    Args:
        counts: how many examples each task has.
        batching: whose unit is examples.
        multiple: as in ``training_batches``.
    """
    shares, any_shape = task_probabilities(counts, batching.alpha), Shape(0, 0, 0)
    settings = (batching, multiple, 1)  # no stride changes a number of examples
    if batching.mixing == "all_tasks":
        return [*map(float, _rows(any_shape, shares, len(counts), *settings))]
    (rows,) = _rows(any_shape, np.ones(1), 1, *settings)
    return (shares * rows).tolist()


def mixed_sources(
    tasks: Sequence[TaskExamples], only: Sequence[int] | None, batching: Batching, *settings: Any
) -> tuple[list[MixedBatches], list[float]]:
    """Return the sources that batches are drawn from, and the probability of each.

    Args:
        tasks: as in ``training_batches``, like the next two.
        only: indices of the tasks that are trained on.
        batching: sizes, mixing and buckets.
        settings: further arguments of ``MixedBatches``, from ``multiple`` on.
    """
    numbers = [number for number in range(len(tasks)) if only is None or number in only]
    trained = [tasks[number] for number in numbers]
    probabilities = task_probabilities([*map(len, trained)], batching.alpha)
    if batching.mixing == "all_tasks":
        return [MixedBatches(numbers, trained, probabilities, batching, *settings)], [1.0]
    single = [
        MixedBatches([number], [tasks[number]], np.ones(1), batching, *settings)
        for number in numbers
    ]
    return single, probabilities.tolist()


def _stream(
    examples: TaskExamples, members: np.ndarray, alpha: float, seed: int
) -> grain.MapDataset:
    """Return a bucket's examples, endlessly, each epoch in a new order."""
    weight = _weights(examples, alpha)
    if weight is None:
        return _shuffled(members, seed)
    folder = examples.folder[members]
    parts = [members[folder == k] for k in np.unique(folder)]
    streams = [_shuffled(part, _mix(seed, k)) for k, part in enumerate(parts)]
    return grain.MapDataset.mix(streams, [float(weight[part].sum()) for part in parts])


def _weights(examples: TaskExamples, alpha: float) -> np.ndarray | None:
    """Return each example's weight: n^(alpha - 1) in a folder of n; None if all are equal."""
    if alpha == 1.0:
        return None
    sizes = np.bincount(examples.folder[examples.selection], minlength=examples.folder.max() + 1)
    return np.maximum(sizes, 1.0)[examples.folder] ** (alpha - 1.0)


def _shuffled(members: np.ndarray, seed: int) -> grain.MapDataset:
    return grain.MapDataset.source(_Epochs(members, seed))


class _Epochs:
    """Some examples, endlessly, each epoch in a new order, as a Grain source.

    Grain's shuffle searches at least 2^16 indices for each one: 6 ms for a row of four examples.
    """

    def __init__(self, members: np.ndarray, seed: int):
        self._count = len(members)

        def order(epoch: int) -> np.ndarray:
            return np.random.default_rng((seed, epoch)).permutation(members)

        # Two, since threads that read ahead are in the next epoch while others finish this one.
        self._order = functools.lru_cache(maxsize=2)(order)

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, index) -> int:
        epoch, place = divmod(int(index), self._count)
        return int(self._order(epoch)[place])


def _turns(often: Sequence[float]) -> grain.MapDataset:
    """Return (bucket, number of earlier visits) of each batch, interleaved in these proportions."""
    visits = [
        grain.MapDataset.range(_ENDLESS).map(functools.partial(_visit, bucket))
        for bucket in range(len(often))
    ]
    return grain.MapDataset.mix(visits, often)


def _visit(bucket: int, number: int) -> tuple[int, int]:
    return bucket, number


def _rows(
    shape: Shape,
    shares: np.ndarray,
    num_tasks: int,
    batching: Batching,
    multiple: int,
    stride: int,
) -> list[int]:
    """Return how many rows each task has in a batch of one bucket."""
    size = batching.size
    if batching.unit == "tokens":
        # A position of the model covers several frames, and is about as much work as a token.
        size = size / max(shape.target, shape.source, shape.frames // stride)
    quotas = shares * num_tasks * size
    return [max(1, round(rows) // multiple) * multiple for rows in quotas]


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
