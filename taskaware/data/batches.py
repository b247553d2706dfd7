"""Batches of any mix of tasks, in a bounded number of shapes, by random access.

Batch i is a pure function of (examples, Batching, SpecAugment, seed, i): resuming is starting at i,
and the same global batches come whatever the number of processes. Length buckets hold equal mass,
and every block of K batches visits each of the K buckets once, in an order drawn for that block.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import NamedTuple

import grain
import numpy as np
import threadpoolctl

from taskaware.config import Batching, SpecAugment
from taskaware.data.augment import spec_augment
from taskaware.data.tasks import TaskExamples
from taskaware.dims import PAD, Batch, Speech

_ENDLESS = 2**40
_NO_MASKS = SpecAugment()
_FRAME_STEP, _TOKEN_STEP = 32, 4
"""Shapes are rounded up to these, so that similar data compile to the same program."""


class Shape(NamedTuple):
    """A bucket's padded lengths: frames, source tokens, target tokens."""

    frames: int
    source: int
    target: int


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


class _MixedBatches:
    """Batches with a fixed share of rows for each of some tasks, as a Grain source."""

    def __init__(
        self,
        tasks: Sequence[tuple[int, TaskExamples]],
        shares: np.ndarray,
        batching: Batching,
        multiple: int,
        seed: int,
        process: tuple[int, int],
        masks: SpecAugment = _NO_MASKS,
    ):
        self._tasks = sorted(tasks, key=lambda task: task[1].task.source == "text")
        order = [tasks.index(task) for task in self._tasks]
        self._seed, self._process, self._masks = seed, process, masks
        buckets = min(batching.buckets, *(len(examples) for _, examples in tasks))
        members = [
            _equal_mass(examples, buckets, weight=_weights(examples, batching.corpus_alpha))
            for _, examples in self._tasks
        ]
        self.shapes = [
            _shape([(e, m[k]) for (_, e), m in zip(self._tasks, members, strict=True)])
            for k in range(buckets)
        ]
        self.rows = [
            _rows(shape, shares[order], len(tasks), batching, multiple) for shape in self.shapes
        ]
        self._streams = [
            [
                _stream(examples, member[k], batching.corpus_alpha, _mix(seed, task, k))
                for k in range(buckets)
            ]
            for (task, examples), member in zip(self._tasks, members, strict=True)
        ]

    def __len__(self) -> int:
        return _ENDLESS

    def __getitem__(self, index) -> Batch:
        block, turn = divmod(int(index), len(self.shapes))
        bucket = np.random.default_rng((self._seed, block)).permutation(len(self.shapes))[turn]
        start, step = self._process
        chosen, places = [], []
        for task, streams, rows in zip(self._tasks, self._streams, self.rows[bucket], strict=True):
            own = range(rows)[start::step]
            chosen.append((*task, [int(streams[bucket][block * rows + i]) for i in own]))
            places += [(i, task[0]) for i in own]
        batch = collate(chosen, self.shapes[bucket])
        if batch.speech is not None and self._masks.is_on:
            self._mask(batch.speech, int(index), places)
        return batch

    def _mask(self, speech: Speech, number: int, places: Sequence[tuple[int, int]]) -> None:
        """Mask frames in place: they are the batch's own copy, made by ``collate``."""
        for row, (length, (place, task)) in enumerate(zip(speech.length_B, places, strict=False)):
            # 1 +, for zeros at the end of a seed count for nothing.
            rng = np.random.default_rng((self._seed, number, place, 1 + task))
            frames = speech.frames_BAC[row, :length]
            frames[:] = spec_augment(frames, self._masks, rng)


def training_batches(
    tasks: Sequence[TaskExamples],
    batching: Batching,
    *,
    seed: int,
    first: int = 0,
    multiple: int = 1,
    only: Sequence[int] | None = None,
    process: tuple[int, int] = (0, 1),
    masks: SpecAugment = _NO_MASKS,
) -> Iterator[Batch]:
    """Yield this process's part of every batch, endlessly, from number ``first`` on.

    Args:
        tasks: the experiment's tasks in order.
        batching: sizes, mixing and buckets.
        seed: of the order of examples.
        first: batches already used.
        multiple: of which each task's rows are a multiple: devices over which they are split.
        only: tasks that are trained on, by their place; all by default.
        process: (index, count) of this process.
        masks: over the frames of speech, drawn anew for each row of each batch.
    """
    # Features are small matrix products; BLAS threads for them would only take cores from the
    # step that runs meanwhile (6 ms an utterance instead of 0.7).
    threadpoolctl.threadpool_limits(1, user_api="blas")
    sources, probabilities = _sources(tasks, batching, seed, multiple, only, process, masks)
    datasets = [grain.MapDataset.source(source) for source in sources]
    mixed = datasets[0] if len(datasets) == 1 else grain.MapDataset.mix(datasets, probabilities)
    dataset = mixed[first:]
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=8)
    return iter(dataset.to_iter_dataset(options))


def rows_a_batch(counts: Sequence[int], batching: Batching, multiple: int = 1) -> list[float]:
    """Return how many examples of each task a batch holds, in the mean over many, of unit examples.

    Args:
        counts: how many examples each task has.
        batching: whose unit is examples.
        multiple: as in ``training_batches``.
    """
    shares, any_shape = task_probabilities(counts, batching.alpha), Shape(0, 0, 0)
    if batching.mixing == "all_tasks":
        return [*map(float, _rows(any_shape, shares, len(counts), batching, multiple))]
    (rows,) = _rows(any_shape, np.ones(1), 1, batching, multiple)
    return (shares * rows).tolist()


def batch_shapes(tasks: Sequence[TaskExamples], batching: Batching) -> list[Shape]:
    """Return every bucket's shape over all tasks."""
    probabilities = np.full(len(tasks), 1 / len(tasks))
    return _MixedBatches(list(enumerate(tasks)), probabilities, batching, 1, 0, (0, 1)).shapes


def fingerprint(
    tasks: Sequence[TaskExamples],
    batching: Batching,
    seed: int,
    tokenizer_sha256: str,
    multiple: int = 1,
    only: Sequence[int] | None = None,
    masks: SpecAugment = _NO_MASKS,
) -> str:
    """Return a digest of all that decides which examples come in which order, and how masked.

    ``multiple`` counts only where it changes how many rows a task has, ``masks`` where there are
    any.
    """
    digest = hashlib.sha256()
    rows = [source.rows for source in _sources(tasks, batching, seed, multiple, only)[0]]
    sizes = asdict(batching)
    if sizes.pop("corpus_alpha") != 1.0:  # else it matters not which folder an example is from
        folders = [np.bincount(examples.folder).tolist() for examples in tasks]
        sizes["corpora"] = [batching.corpus_alpha, folders]
    settings = [sizes, seed, tokenizer_sha256, rows, [asdict(e.task) for e in tasks]]
    for setting in settings[-1]:
        setting.pop("data")  # a moved folder holds the same data
    if only is not None and len(only) < len(tasks):
        settings.append(list(only))
    if masks.is_on:
        settings.append(asdict(masks))
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for examples in tasks:
        for row in examples.rows:
            digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()


def evaluation_batches(
    task_index: int,
    examples: TaskExamples,
    *,
    size: int,
    buckets: int = 2,
    only: Sequence[int] | None = None,
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield (which examples, batch) over all examples once, or some, in few shapes.

    The last batch of a bucket is filled up with its last example; the indices are of the rows
    that count.
    """
    wanted = np.arange(len(examples.rows)) if only is None else np.asarray(only)
    for members in _equal_mass(examples, min(buckets, len(wanted)), wanted):
        shape = _shape([(examples, members)])
        for start in range(0, len(members), size):
            indices = members[start : start + size]
            filled = [*indices.tolist(), *[int(indices[-1])] * (size - len(indices))]
            yield indices, collate([(task_index, examples, filled)], shape)


def by_task(batch: Batch) -> tuple[Batch, ...]:
    """Return each task's rows as a batch of their own, in the order of the batch."""
    borders = [*np.flatnonzero(np.diff(batch.task_B, prepend=-1)).tolist(), len(batch.task_B)]
    spoken = 0 if batch.speech is None else len(batch.speech.length_B)
    parts = []
    for start, end in itertools.pairwise(borders):
        speech = source = None
        if batch.speech is not None and start < spoken:
            speech = Speech(*[leaf[start:end] for leaf in batch.speech])
        if batch.source_BS is not None and start >= spoken:
            source = batch.source_BS[start - spoken : end - spoken]
        parts.append(Batch(speech, source, batch.target_BT[start:end], batch.task_B[start:end]))
    return tuple(parts)


def collate(chosen: Sequence[tuple[int, TaskExamples, Sequence[int]]], shape: Shape) -> Batch:
    """Join (task, its examples, which of them) into one batch; speech tasks come first."""
    frames, source, target, task_of = [], [], [], []
    for task, examples, indices in chosen:
        for index in indices:
            target.append(examples.target[index])
            task_of.append(task)
            if examples.source is None:
                frames.append(examples.frames(index))
            else:
                source.append(examples.source[index])
    speech = None
    if frames:
        frames_BAC = np.zeros((len(frames), shape.frames, frames[0].shape[1]), np.float32)
        for row, values in enumerate(frames):
            frames_BAC[row, : len(values)] = values
        speech = Speech(frames_BAC, np.array([len(values) for values in frames], np.int32))
    return Batch(
        speech,
        _pad(source, shape.source) if source else None,
        _pad(target, shape.target),
        np.array(task_of, np.int32),
    )


def _sources(
    tasks, batching, seed, multiple, only, process=(0, 1), masks=_NO_MASKS
) -> tuple[list[_MixedBatches], list[float]]:
    """Return what batches are drawn from, and how often from each."""
    numbered = [(i, examples) for i, examples in enumerate(tasks) if only is None or i in only]
    probabilities = task_probabilities([len(e) for _, e in numbered], batching.alpha)
    settings = (batching, multiple, seed, process, masks)
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
    return grain.MapDataset.source(members.tolist()).seed(seed).shuffle().repeat()


def _equal_mass(
    examples: TaskExamples,
    buckets: int,
    kept: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Cut examples, sorted by length, into buckets of equal numbers, or of equal weight."""
    kept = examples.kept if kept is None else kept
    order = np.lexsort((examples.target.length[kept], examples.source_length[kept]))
    if weight is None:
        return np.array_split(kept[order], buckets)
    mass = np.cumsum(weight[kept[order]])
    cuts = np.searchsorted(mass, mass[-1] * np.arange(1, buckets) / buckets)
    # One example, at least, in every bucket, however heavy its neighbors are.
    least = np.arange(1, buckets)
    cuts = least + np.maximum.accumulate(np.maximum(cuts - least, 0))
    return np.split(kept[order], np.minimum(cuts, len(order) - buckets + least))


def _shape(members: Sequence[tuple[TaskExamples, np.ndarray]]) -> Shape:
    frames = source = target = 0
    for examples, indices in members:
        target = max(target, int(examples.target.length[indices].max()))
        longest = int(examples.source_length[indices].max())
        if examples.source is None:
            frames = max(frames, longest)
        else:
            source = max(source, longest)
    return Shape(
        _round_up(frames, _FRAME_STEP),
        _round_up(source, _TOKEN_STEP),
        _round_up(target, _TOKEN_STEP),
    )


def _rows(
    shape: Shape, shares: np.ndarray, num_tasks: int, batching: Batching, multiple: int
) -> list[int]:
    """Return how many rows each task has in a batch of one bucket."""
    size = batching.size
    if batching.unit == "tokens":
        # A frame of the model stands for 8 of the audio, about as much work as a token.
        size = size / max(shape.target, shape.source, shape.frames // 8)
    wanted = shares * num_tasks * size
    return [max(1, round(rows) // multiple) * multiple for rows in wanted]


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _pad(sequences: Sequence[np.ndarray], width: int) -> np.ndarray:
    out = np.full((len(sequences), width), PAD, np.int32)
    for row, tokens in enumerate(sequences):
        out[row, : len(tokens)] = tokens
    return out


def _mix(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
