"""One pass over all examples of a task, as validation and decoding take it."""

from collections.abc import Iterator, Sequence

import numpy as np

from taskaware.data.buckets import Shape, cut_by_length, shape_of
from taskaware.data.rows import collate
from taskaware.data.tasks import TaskExamples
from taskaware.dims import PAD, Rows


def evaluation_batches(
    examples: TaskExamples,
    *,
    size: int,
    buckets: int = 2,
    only: Sequence[int] | None = None,
    company: bool = False,
) -> Iterator[tuple[np.ndarray, Rows]]:
    """Yield (which examples, rows) over all examples of a task once, or some, in few shapes.

    Examples within the limits of training come in batches of ``size`` rows and at most ``buckets``
    shapes. Of longer ones, each doubling of length is one more shape, of a quarter of the rows, at
    least one, for attention takes memory by the square: rows times padded length is never above
    ``size`` times the limit, nor attention above what it takes there, but for a row alone.

    The batches of a bucket have as many examples as one another, or one more, so that none is
    alone that could have company. Each is filled up with copies of its last example, which have no
    target and do not count; the indices are of the rows that count.

    Args:
        examples: of the task.
        size: rows of a batch.
        buckets: shapes, for examples within the limits.
        only: some of the examples.
        company: whether an example that is alone in its batch comes with the shortest other one of
            the task, which does not count but has its target: for those whose task vector must be
            another's.
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
                chosen = indices.tolist()
                others = _shortest_other(examples, *chosen) if company and len(chosen) == 1 else []
                if others:
                    yield indices, _beside(examples, *chosen, *others)
                else:
                    yield indices, _filled(examples, chosen, rows, shape)


def _filled(examples: TaskExamples, chosen: list[int], rows: int, shape: Shape) -> Rows:
    """Return some examples, filled up to so many rows."""
    count = len(chosen)
    filled = collate(examples, chosen + chosen[-1:] * (rows - count), shape)
    filled.counts_B[count:] = False
    filled.target.tokens_BT[count:] = PAD
    return filled


def _beside(examples: TaskExamples, index: int, other: int) -> Rows:
    """Return an example, and another one that does not count."""
    rows = collate(examples, [index, other], shape_of([(examples, np.array([index, other]))]))
    rows.counts_B[1] = False
    return rows


def _shortest_other(examples: TaskExamples, index: int) -> list[int]:
    """Return the shortest example but for one, if another has any source."""
    length = examples.source_length + examples.target.length
    order = np.argsort(length, kind="stable")
    return order[(order != index) & (examples.source_length[order] > 0)][:1].tolist()
