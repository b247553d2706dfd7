"""Batches of any mix of tasks, in a bounded number of shapes, by random access.

Batch i is a pure function of (examples, Batching, SpecAugment, seed, i): resuming is starting at i,
and the same global batches come whatever the number of processes. Length buckets hold equal mass,
and every block of K batches visits each of the K buckets once, in an order drawn for that block;
or edges stand where padding costs least, and a bucket comes as often as its share asks for.
"""

import functools
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np

from taskaware.config import Batching, SpecAugment
from taskaware.data.audio.augment import spec_augment
from taskaware.data.buckets import Shape, cut_by_length, equal_mass, least_padding, shape_of
from taskaware.data.rows import collate
from taskaware.data.tasks import TaskExamples
from taskaware.dims import MEL_CHANNELS, Batch, Speech

_ENDLESS = 2**40
_ORDER = "a permutation an epoch"
"""How examples are shuffled: part of every fingerprint, to be changed with it."""
_NO_MASKS = SpecAugment()


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
    """Whose rows of speech this process computes: those of parts start to end, of ``parts``."""

    start: int = 0
    end: int = 1
    parts: int = 1
    by_task: bool = False
    """Whether each task's rows are split by themselves, or all of a batch's together."""

    def of(self, rows: Sequence[int]) -> list[int]:
        """Return which rows of a batch with so many of each task."""
        counts = rows if self.by_task else [sum(rows)]
        first, found = 0, []
        for count in counts:
            start, end = (first + count * at // self.parts for at in (self.start, self.end))
            found += range(start, end)
            first += count
        return found


_ALL_ROWS = LocalRows()


class _MixedBatches:
    """Batches with a fixed share of rows for each of some tasks, as a Grain source."""

    def __init__(
        self,
        tasks: Sequence[tuple[int, TaskExamples]],
        shares: np.ndarray,
        batching: Batching,
        multiple: int,
        seed: int,
        stride: int,
        own: LocalRows,
        masks: SpecAugment,
    ):
        self._tasks = sorted(tasks, key=lambda task: task[1].task.source == "text")
        self.spoken = [examples.source is None for _, examples in self._tasks]
        self.places = [place for place, _ in self._tasks]
        order = [tasks.index(task) for task in self._tasks]
        self._seed, self._own, self._masks = seed, own, masks
        count = min(batching.buckets, *(len(examples) for _, examples in tasks))
        examples = [examples for _, examples in self._tasks]
        weights = [_weights(e, batching.corpus_alpha) for e in examples]
        if batching.edges == "least_padding":
            buckets = least_padding(examples, count, weights, stride)
        else:
            buckets = equal_mass(examples, count, weights)
        self.shapes = [shape_of([*zip(examples, b.members, strict=True)]) for b in buckets]
        self.rows = [
            _rows(shape, shares[order], len(tasks), batching, multiple, stride)
            for shape in self.shapes
        ]
        self._streams: list[list[Any]] = [
            [
                _stream(e, bucket.members[i], batching.corpus_alpha, _mix(seed, task, k))
                for k, bucket in enumerate(buckets)
            ]
            for i, (task, e) in enumerate(self._tasks)
        ]
        self._turns: Any = None
        if batching.edges == "least_padding":
            often = [b.share / rows[0] for b, rows in zip(buckets, self.rows, strict=True)]
            self._turns = _turns(often)

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, index) -> Batch:
        bucket, visit = self._turn(int(index))
        chosen, places = [], []
        for task, streams, rows in zip(self._tasks, self._streams, self.rows[bucket], strict=True):
            chosen.append((*task, [int(streams[bucket][visit * rows + i]) for i in range(rows)]))
            places += [(i, task[0]) for i in range(rows)]
        spoken = [len(rows) for _, examples, rows in chosen if examples.source is None]
        own = self._own.of(spoken)
        batch = collate(chosen, self.shapes[bucket], own)
        if batch.speech is not None and self._masks.is_on:
            self._mask(batch.speech, int(index), places, own)
        return batch

    def _turn(self, index: int) -> tuple[int, int]:
        """Return the bucket of a batch, and how often the bucket has come before."""
        if self._turns is not None:
            return self._turns[index]
        block, turn = divmod(index, len(self.shapes))
        order = np.random.default_rng((self._seed, block)).permutation(len(self.shapes))
        return int(order[turn]), block

    def _mask(
        self,
        speech: Speech,
        number: int,
        places: Sequence[tuple[int, int]],
        own: Collection[int],
    ) -> None:
        """Mask frames in place: they are the batch's own copy, made by ``collate``."""
        for row in own:
            length, (place, task) = speech.length_B[row], places[row]
            # 1 +, for zeros at the end of a seed count for nothing.
            rng = np.random.default_rng((self._seed, number, place, 1 + task))
            frames = speech.frames_BAC[row, :length]
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
    own: LocalRows = _ALL_ROWS,
    masks: SpecAugment = _NO_MASKS,
) -> Iterator[Batch]:
    """Yield batches, endlessly, from number ``first`` on; a process may leave out others' frames.

    Args:
        tasks: the experiment's tasks in order.
        batching: sizes, mixing and buckets.
        seed: of the order of examples.
        stride: frames of speech that a position of the model stands for: ``Model.stride``.
        first: batches already used.
        multiple: of which each task's rows are a multiple: devices over which they are split.
        only: tasks that are trained on, by their place; all by default.
        own: the rows whose frames are computed; all others' are zero.
        masks: over the frames of speech, drawn anew for each row of each batch.
    """
    sources, probabilities = _sources(tasks, batching, seed, stride, multiple, only, own, masks)
    datasets = [grain.MapDataset.source(source) for source in sources]
    mixed = datasets[0] if len(datasets) == 1 else grain.MapDataset.mix(datasets, probabilities)
    dataset = mixed[first:]
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
    return iter(dataset.to_iter_dataset(options))


def rows_per_batch(counts: Sequence[int], batching: Batching, multiple: int = 1) -> list[float]:
    """Return how many examples of each task a batch holds, in the mean over many, of unit examples.

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


def blank_batches(
    tasks: Sequence[TaskExamples],
    batching: Batching,
    *,
    stride: int,
    multiple: int = 1,
    only: Sequence[int] | None = None,
) -> list[Batch]:
    """Return a batch of each shape that ``training_batches`` yields, all zeros, in no memory."""

    def zeros(dtype: type, *shape: int) -> np.ndarray:
        return np.broadcast_to(dtype(0), shape)

    found = []
    for source in _sources(tasks, batching, 0, stride, multiple, only)[0]:
        for shape, rows in zip(source.shapes, source.rows, strict=True):
            spoken = sum(n for n, speech in zip(rows, source.spoken, strict=True) if speech)
            written = sum(rows) - spoken
            frames_BAC = zeros(np.float32, spoken, shape.frames, MEL_CHANNELS)
            found.append(
                Batch(
                    Speech(frames_BAC, zeros(np.int32, spoken)) if spoken else None,
                    zeros(np.int32, written, shape.source) if written else None,
                    zeros(np.int32, spoken + written, shape.target),
                    np.repeat(np.array(source.places, np.int32), rows),
                )
            )
    return found


def evaluation_batches(
    task_index: int,
    examples: TaskExamples,
    *,
    size: int,
    buckets: int = 2,
    only: Sequence[int] | None = None,
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield (which examples, batch) over all examples once, or some, in few shapes.

    Examples within the limits of training come in batches of ``size`` rows and at most ``buckets``
    shapes. Of longer ones, each doubling of length is one more shape, of a quarter of the rows, at
    least one, for attention takes memory by the square: rows times padded length is never above
    ``size`` times the limit, nor attention above what it takes there, but for a row alone.

    The batches of a bucket have as many examples as one another, or one more, so that none is
    alone that could have company: validation gives each the task vector of another. Each is filled
    up with copies of its last example; the indices are of the rows that count.
    """
    wanted = np.arange(len(examples.rows)) if only is None else np.asarray(only)
    doublings = np.ceil(np.log2(np.maximum(examples.relative_length[wanted], 1))).astype(int)
    for doubling in np.unique(doublings).tolist():
        part = wanted[doublings == doubling]
        rows, count = size, max(1, min(buckets, len(part) // 2))
        if doubling:
            rows, count = max(1, min(size // 4**doubling, len(part))), 1
        for members in cut_by_length(examples, part, count):
            shape = shape_of([(examples, members)])
            for indices in np.array_split(members, -(-len(members) // rows)):
                filled = [*indices.tolist(), *[int(indices[-1])] * (rows - len(indices))]
                yield indices, collate([(task_index, examples, filled)], shape)


def _sources(
    tasks, batching, seed, stride, multiple, only, own=_ALL_ROWS, masks=_NO_MASKS
) -> tuple[list[_MixedBatches], list[float]]:
    """Return what batches are drawn from, and how often from each."""
    numbered = [(i, examples) for i, examples in enumerate(tasks) if only is None or i in only]
    probabilities = task_probabilities([len(e) for _, e in numbered], batching.alpha)
    settings = (batching, multiple, seed, stride, own, masks)
    if batching.mixing == "all_tasks":
        return [_MixedBatches(numbered, probabilities, *settings)], [1.0]
    single = [_MixedBatches([task], np.ones(1), *settings) for task in numbered]
    return single, probabilities.tolist()


def _stream(
    examples: TaskExamples, members: np.ndarray, alpha: float, seed: int
) -> grain.MapDataset:
    """Return a bucket's examples epoch after epoch, each in an order of its own."""
    weight = _weights(examples, alpha)
    if weight is None:
        return _shuffled(members, seed)
    folder = examples.folder[members]
    parts = [members[folder == k] for k in np.unique(folder)]
    streams = [_shuffled(part, _mix(seed, k)) for k, part in enumerate(parts)]
    return grain.MapDataset.mix(streams, [float(weight[part].sum()) for part in parts])


def _weights(examples: TaskExamples, alpha: float) -> np.ndarray | None:
    """Return how much each example counts: n^(alpha - 1) in a folder of n; None: all the same."""
    if alpha == 1.0:
        return None
    sizes = np.bincount(examples.folder[examples.kept], minlength=examples.folder.max() + 1)
    return np.maximum(sizes, 1.0)[examples.folder] ** (alpha - 1.0)


def _shuffled(members: np.ndarray, seed: int) -> grain.MapDataset:
    return grain.MapDataset.source(_Epochs(members, seed))


class _Epochs:
    """Some examples, epoch after epoch, each in an order of its own, as a Grain source.

    Grain's own shuffle looks for each index among 2^16 at least: 6 ms for a row of four examples.
    """

    def __init__(self, members: np.ndarray, seed: int):
        self._count = len(members)

        def order(epoch: int) -> np.ndarray:
            return np.random.default_rng((seed, epoch)).permutation(members)

        # Threads that read ahead are in the next epoch while others finish this one.
        self._order = functools.lru_cache(maxsize=2)(order)

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, index) -> int:
        epoch, place = divmod(int(index), self._count)
        return int(self._order(epoch)[place])


def _turns(often: Sequence[float]) -> grain.MapDataset:
    """Return (bucket, how often it came before) of each batch, evenly, as often as asked."""
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
        # A position of the model stands for several frames, and is about as much work as a token.
        size = size / max(shape.target, shape.source, shape.frames // stride)
    wanted = shares * num_tasks * size
    return [max(1, round(rows) // multiple) * multiple for rows in wanted]


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
