"""What changes while training: parameters, optimizer, step and randomness."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, Key

from taskaware.modulation.tcn import TaskRow

TASK_ROWS = nnx.OfType(TaskRow)
"""Selects the parameters that belong to single tasks: the rows of an explicit TCN."""


class TrainState(NamedTuple):
    """All that resuming needs. The position in the data is ``step``."""

    step: Int[Array, ""]  # batches seen
    params: nnx.State
    opt_state: optax.OptState
    key: Key[Array, ""]


def initial_state(
    params: nnx.State,
    optimizer: optax.GradientTransformation,
    seed: int,
    trained: nnx.filterlib.Filter = ...,
) -> TrainState:
    """Return the state before the first step; the optimizer's covers trained parameters only."""
    opt_state = optimizer.init(nnx.filter_state(params, trained))
    return TrainState(jnp.int32(0), params, opt_state, jax.random.key(seed))


def average(trees: Iterable[nnx.State]) -> nnx.State:
    """Return the mean of several states' parameters, in their dtype but summed in float32."""
    count, total, like = 0, None, None
    for tree in trees:
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree)
        total = wide if total is None else jax.tree.map(jnp.add, total, wide)
        count, like = count + 1, tree
    return jax.tree.map(lambda leaf, last: (leaf / count).astype(last.dtype), total, like)


def count_parameters(params: nnx.State, kind: type[nnx.Variable] = nnx.Param) -> int:
    """Return the number of scalars in the parameters of a kind."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.filter_state(params, kind)))
