"""Rows of several tasks joined into one array without moving any to another device."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Shaped

from taskaware.devices.sharding import parts_in_use
from taskaware.dims import AnyArray, Batch, Text


class RowOrder(NamedTuple):
    """The order in which the rows of a batch's tasks go through the model together.

    Tasks of speech come before those of text, each kind in the model's order. Where rows are split
    into P parts, each part has its rows of every task: with P = 1 the tasks follow one another.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    """Of each task."""
    parts: int
    """P."""

    def join(self, arrays: Sequence[Shaped[AnyArray, "..."]]) -> Any:
        """Return the rows of some of the tasks as one array, padded with 0 to the same width."""
        width = max(x.shape[1:2] for x in arrays)
        return join([_pad_to(jnp.asarray(x), width) for x in arrays], self.parts)

    def join_trees(self, trees: Sequence[Any]) -> Any:
        """Return the rows of some of the tasks' NamedTuples of arrays, joined leaf by leaf."""
        return jax.tree.map(lambda *leaves: self.join(leaves), *trees)

    def part(self, joined: Shaped[AnyArray, "B *rest"]) -> dict[str, Any]:
        """Split an array of joined rows into those of each task."""
        return dict(zip(self.names, part(joined, self.rows, self.parts), strict=True))

    def of(self, names: Collection[str]) -> "RowOrder":
        """Return the order of the rows of some of the tasks."""
        each = [(n, rows) for n, rows in zip(self.names, self.rows, strict=True) if n in names]
        return RowOrder(tuple(n for n, _ in each), tuple(rows for _, rows in each), self.parts)

    def select(self, joined: Shaped[AnyArray, "B *rest"], names: Collection[str]) -> Any:
        """Return the joined rows of some of the tasks, as ``of(names)`` orders them."""
        if set(names) >= set(self.names):
            return joined
        rows = self.part(joined)
        return join([rows[name] for name in self.of(names).names], self.parts)

    def positions(self) -> Int[np.ndarray, " B"]:
        """Return the index that each joined row would have if the tasks followed one another."""
        ends = np.cumsum(self.rows)
        starts = [np.arange(end - rows, end) for end, rows in zip(ends, self.rows, strict=True)]
        return join(starts, self.parts)


def row_order(batch: Batch, tasks: Sequence[str]) -> RowOrder:
    """Return the order for a batch of some of a model's tasks, on the mesh in use."""
    names = sorted(
        batch, key=lambda name: (isinstance(batch[name].source, Text), tasks.index(name))
    )
    rows = tuple(len(batch[name].counts_B) for name in names)
    return RowOrder(tuple(names), rows, parts_in_use(*rows))


def join(arrays: Sequence[Shaped[AnyArray, "..."]], parts: int) -> Any:
    """Return the rows of several arrays as one: first each array's first part, then the second.

    Where rows are split over ``parts`` devices, every row stays on its device.

    Example:
        >>> join([np.array([1, 2, 3, 4]), np.array([7, 8])], 2).tolist()
        [1, 2, 7, 3, 4, 8]
    """
    if len(arrays) == 1:
        return arrays[0]
    of = np if isinstance(arrays[0], np.ndarray) else jnp
    split = [x.reshape(parts, -1, *x.shape[1:]) for x in arrays]
    joined = of.concatenate(split, axis=1)
    return joined.reshape(-1, *joined.shape[2:])


def part(joined: Shaped[AnyArray, "B *rest"], rows: Sequence[int], parts: int) -> list[Any]:
    """Undo ``join``, given the number of rows of each array.

    Example:
        >>> [x.tolist() for x in part(np.array([1, 2, 7, 3, 4, 8]), (4, 2), 2)]
        [[1, 2, 3, 4], [7, 8]]
    """
    split = joined.reshape(parts, -1, *joined.shape[1:])
    ends = np.cumsum(rows) // parts
    return [
        split[:, end - count // parts : end].reshape(-1, *joined.shape[1:])
        for end, count in zip(ends.tolist(), rows, strict=True)
    ]


def _pad_to(x: Array, width: tuple[int, ...]) -> Array:
    """Return x with its second axis, if it has one, padded to a width."""
    added = [(0, after - before) for before, after in zip(x.shape[1:2], width, strict=True)]
    return jnp.pad(x, [(0, 0), *added, *[(0, 0)] * (x.ndim - 2)])
