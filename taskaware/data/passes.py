"""One pass over all examples of a task, for validation and decoding."""

from collections.abc import Iterator, Sequence

import numpy as np

from taskaware.data.buckets import cut_by_length, shape_of
from taskaware.data.rows import collate
from taskaware.data.targets import Shape, without_target
from taskaware.data.tasks import TaskExamples
from taskaware.dims import Rows


def evaluation_batches(
    examples: TaskExamples,
    *,
    size: int,
    buckets: int = 2,
    only: Sequence[int] | None = None,
    with_donor: bool = False,
) -> Iterator[tuple[np.ndarray, Rows]]:
    """Yield (indices of examples, rows) over all examples of a task once, or some, in few shapes.

    Examples within the limits of training come in batches of ``size`` rows and at most ``buckets``
    shapes. Longer ones have one more shape per doubling of length, each with a quarter of the rows
    of the one before, since attention's memory grows with the square of the length. So, except for
    rows that are alone in their batch, no batch takes more memory than one at the limit.

    The sizes of a bucket's batches differ by at most one example, so that no example is alone
    unless its bucket has no other. Each batch is filled up with copies of its last example, which
    have no target and do not count; the indices are those of the rows that count.

    Args:
        examples: of the task.
        size: rows per batch.
        buckets: number of shapes for examples within the limits.
        only: indices of the examples to take; all by default.
        with_donor: whether an example that is alone in its batch is joined by the shortest other
            one of the task, which has its target but does not count: for models that take an
            example's task vector from another example.
    """
    selection = np.arange(len(examples.rows)) if only is None else np.asarray(only)
    doublings = np.ceil(np.log2(np.maximum(examples.relative_length[selection], 1))).astype(int)
    for doubling in np.unique(doublings).tolist():
        part = selection[doublings == doubling]
        rows, count = size, max(1, min(buckets, len(part) // 2))
        if doubling:
            rows, count = max(1, min(size // 4**doubling, len(part))), 1
        for members in cut_by_length(examples, part, count):
            shape = shape_of([(examples, members)])
            for indices in np.array_split(members, -(-len(members) // rows)):
                chosen = indices.tolist()
                alone = with_donor and len(chosen) == 1
                if others := _shortest_other(examples, *chosen) if alone else []:
                    yield indices, _beside(examples, *chosen, *others)
                else:
                    yield indices, _filled(examples, chosen, rows, shape)


def _filled(examples: TaskExamples, chosen: list[int], rows: int, shape: Shape) -> Rows:
    """Return some examples, filled up to a number of rows."""
    count = len(chosen)
    filled = collate(examples, chosen + chosen[-1:] * (rows - count), shape)
    filled.counts_B[count:] = False
    without_target(filled.target, slice(count, None))
    return filled


def _beside(examples: TaskExamples, index: int, other: int) -> Rows:
    """Return an example together with another one that does not count."""
    rows = collate(examples, [index, other], shape_of([(examples, np.array([index, other]))]))
    rows.counts_B[1] = False
    return rows


def _shortest_other(examples: TaskExamples, index: int) -> list[int]:
    """Return the shortest other example that has a source, or nothing."""
    length = examples.source_length + examples.target.length
    order = np.argsort(length, kind="stable")
    return order[(order != index) & (examples.source_length[order] > 0)][:1].tolist()
