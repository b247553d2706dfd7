"""What changes while training: parameters, optimizer, step and randomness."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, Key


class TrainState(NamedTuple):
    """All that must be saved for the next step to be the same. The data's position is ``step``."""

    step: Int[Array, ""]  # batches seen
    params: nnx.State
    opt_state: optax.OptState
    key: Key[Array, ""]


def initial_state(
    params: nnx.State, optimizer: optax.GradientTransformation, seed: int
) -> TrainState:
    """Return the state before the first step."""
    return TrainState(jnp.int32(0), params, optimizer.init(params), jax.random.key(seed))


def count_parameters(params: nnx.State, kind: type[nnx.Variable] = nnx.Param) -> int:
    """Return how many numbers the parameters of a kind hold."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.filter_state(params, kind)))
