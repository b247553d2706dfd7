"""Buckets of examples of similar lengths, so that little of a batch is padding."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from taskaware.data.targets import TARGET_WORK, Shape
from taskaware.data.tasks import TaskExamples

_FRAME_STEP, _TOKEN_STEP = 32, 4
"""Lengths are rounded up to multiples of these, so that similar data compile to one program."""
_SOURCE_CUTS, _TARGET_CUTS, _TARGET_BUCKETS = 48, 16, 8
"""Numbers of quantiles of lengths at which edges may be, and the most target buckets per source
bucket."""
_SAMPLE = 4096
"""Examples per task, about, from which quantiles of target lengths are estimated."""


class Bucket(NamedTuple):
    """Some of each task's examples, about the same share of every task."""

    members: list[np.ndarray]
    share: float
    """Of the examples; the mean over tasks."""


def equal_mass(
    tasks: Sequence[TaskExamples], count: int, weights: Sequence[np.ndarray | None]
) -> list[Bucket]:
    """Cut each task's examples, sorted by source length, into ``count`` buckets of equal mass."""
    cut = [
        cut_by_length(examples, examples.selection, count, weight)
        for examples, weight in zip(tasks, weights, strict=True)
    ]
    return [Bucket([*members], 1 / count) for members in zip(*cut, strict=True)]


def cut_by_length(
    examples: TaskExamples, indices: np.ndarray, count: int, weight: np.ndarray | None = None
) -> list[np.ndarray]:
    """Cut examples, sorted by length, into buckets of equal numbers, or of equal weight."""
    by_length = np.lexsort((examples.target.length[indices], examples.source_length[indices]))
    order = indices[by_length]
    if weight is None:
        return np.array_split(order, count)
    return np.split(order, _quantiles(weight[order], count)[1:-1])


def least_padding(
    tasks: Sequence[TaskExamples],
    count: int,
    weights: Sequence[np.ndarray | None],
    stride: int,
) -> list[Bucket]:
    """Cut by source length and each part by target length, so that padding costs least.

    Edges are at quantiles that are the same for all tasks, so that a bucket has the same share of
    each; of all cuts into at most ``count`` buckets, dynamic programming finds the best. A position
    of the model covers ``stride`` frames.
    """
    orders = [e.selection[np.argsort(e.source_length[e.selection], kind="stable")] for e in tasks]
    parts = min(_SOURCE_CUTS, *map(len, orders))
    mass = [
        np.ones(len(examples.rows)) if weight is None else weight
        for examples, weight in zip(tasks, weights, strict=True)
    ]
    cuts = [_quantiles(w[order], parts) for w, order in zip(mass, orders, strict=True)]

    def slab(first: int, last: int) -> list[np.ndarray]:
        return [order[cut[first] : cut[last]] for order, cut in zip(orders, cuts, strict=True)]

    most = min(_TARGET_BUCKETS, count)
    cost = np.full((parts + 1, parts + 1, most + 1), np.inf)
    for last in range(1, parts + 1):
        for first in range(last):
            members = slab(first, last)
            position = max(_positions(e, m, stride) for e, m in zip(tasks, members, strict=True))
            target = _cheapest(_longest_targets(tasks, members, mass), most)[0]
            cost[first, last, 1:] = (last - first) * (position + TARGET_WORK * target)
    buckets = []
    for first, last, pieces in _Paths(cost[:, :, 1:], count).back(parts, count):
        members = slab(first, last)
        longest = _longest_targets(tasks, members, mass)
        borders = _cheapest(longest, pieces)[1]
        cut = [
            np.split(by_target, _quantiles(w[by_target], len(longest))[borders[1:-1]])
            for by_target, w in zip(_by_target(tasks, members), mass, strict=True)
        ]
        for of_tasks in zip(*cut, strict=True):
            shares = [
                w[part].sum() / w[examples.selection].sum()
                for examples, w, part in zip(tasks, mass, of_tasks, strict=True)
            ]
            buckets.append(Bucket([*of_tasks], float(np.mean(shares))))
    return buckets


def shape_of(members: Sequence[tuple[TaskExamples, np.ndarray]]) -> Shape:
    """Return the smallest shape into which some of each task's examples fit."""
    frames = source = target = 0
    for examples, indices in members:
        target = max(target, int(examples.target.length[indices].max()))
        longest = int(examples.source_length[indices].max())
        if examples.source is None:
            frames = max(frames, longest)
        else:
            source = max(source, longest)
    return rounded(frames, source, target)


def rounded(frames: int = 0, source: int = 0, target: int = 0) -> Shape:
    """Return the shape to which sequences of these lengths are padded."""
    return Shape(
        _round_up(frames, _FRAME_STEP),
        _round_up(source, _TOKEN_STEP),
        _round_up(target, _TOKEN_STEP),
    )


def _positions(examples: TaskExamples, members: np.ndarray, stride: int) -> float:
    longest = int(examples.source_length[members].max())
    if examples.source is None:
        return _round_up(longest, _FRAME_STEP) / stride
    return float(_round_up(longest, _TOKEN_STEP))


def _by_target(tasks: Sequence[TaskExamples], members: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        m[np.argsort(examples.target.length[m], kind="stable")]
        for examples, m in zip(tasks, members, strict=True)
    ]


def _longest_targets(
    tasks: Sequence[TaskExamples], members: Sequence[np.ndarray], mass: Sequence[np.ndarray]
) -> Float[np.ndarray, " cuts"]:
    """Return the longest target, over all tasks, up to each quantile of their targets."""
    parts = min(_TARGET_CUTS, *map(len, members))
    sample = [m[:: 1 + len(m) // _SAMPLE] for m in members]
    longest = np.zeros(parts)
    for examples, of_task, w in zip(tasks, _by_target(tasks, sample), mass, strict=True):
        ends = of_task[_quantiles(w[of_task], parts)[1:] - 1]
        length = examples.target.length[ends]
        longest = np.maximum(longest, -(-length // _TOKEN_STEP) * _TOKEN_STEP)
    return longest


def _cheapest(
    longest: Float[np.ndarray, " cuts"], most: int
) -> tuple[Float[np.ndarray, " most"], list[int]]:
    """Cut a range where ``longest`` rises into pieces that are padded to their end.

    Returns:
        The mean padded length with at most 1, 2, … pieces, and the borders with at most ``most``.
    """
    parts = len(longest)
    # piece[i, j]: the cost of the part from i to j, padded to its end.
    piece = np.full((parts + 1, parts + 1), np.inf)
    for end in range(1, parts + 1):
        piece[:end, end] = (end - np.arange(end)) / parts * longest[end - 1]
    path = _Paths(piece[:, :, None], most)
    return path.cost[parts, 1:], [0, *(last for _, last, _ in path.back(parts, most))]


class _Paths:
    """The cheapest ways from 0 to each point in steps (from, to, size), of a total size.

    Attributes:
        cost: (point, total): of the cheapest way to a point of at most that total size.
    """

    # Both cuts are this problem. Points are quantiles; a step is one bucket of examples, or one
    # slab of sources that is cut by target into ``size`` buckets; the total is how many buckets
    # there are. The cheapest way to a point of total t ends in a step of some size s from some
    # earlier point, and what comes before is the cheapest way to that point of total t - s: so the
    # totals are filled in from 1 up, for all points at once. "At most" a total, since the way
    # with one bucket less stays unless one more saves something: each is a program to compile.

    def __init__(self, step: Float[np.ndarray, "from to size"], most: int):
        points, _, sizes = step.shape
        self.cost = np.full((points, most + 1), np.inf)
        self.cost[0] = 0
        self._last = np.zeros((points, most + 1, 2), int)
        for total in range(1, most + 1):
            # ways[from, to, size]: the cost with a last step of that size.
            used = min(sizes, total)
            before = self.cost[:, total - used : total][:, ::-1]
            ways = before[:, None] + step[:, :, :used]
            flat = ways.transpose(1, 0, 2).reshape(points, -1)
            best = flat.argmin(1)
            least, fewer = flat[np.arange(points), best], self.cost[:, total - 1]
            better = least < fewer * (1 - 1e-9)  # by more than rounding
            self.cost[:, total] = np.where(better, least, fewer)
            step_back = np.stack([best // used, best % used + 1], 1)
            self._last[:, total] = np.where(better[:, None], step_back, self._last[:, total - 1])

    def back(self, point: int, total: int) -> list[tuple[int, int, int]]:
        """Return the steps of the cheapest way to a point, as (from, to, size)."""
        steps = []
        while point:
            first, size = self._last[point, total]
            steps.append((int(first), point, int(size)))
            point, total = int(first), total - int(size)
        return steps[::-1]


def _quantiles(weight: np.ndarray, parts: int) -> np.ndarray:
    """Return borders 0, …, n between parts of equal weight, each of at least one example."""
    mass = np.cumsum(weight)
    cuts = np.searchsorted(mass, mass[-1] * np.arange(1, parts) / parts)
    least = np.arange(1, parts)
    cuts = least + np.maximum.accumulate(np.maximum(cuts - least, 0))
    cuts = np.minimum(cuts, len(weight) - parts + least)
    return np.concatenate([[0], cuts, [len(weight)]])


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
