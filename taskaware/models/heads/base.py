"""What every head is given and what it returns."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import ModelConfig
from taskaware.modulation.modulator import AnyModulation, modulate
from taskaware.nn.layers import dropout, sinusoids


class Condition(NamedTuple):
    """The effect of a task vector on a stack: FiLM, or vectors before the input."""

    modulation: AnyModulation | None = None
    prefix_BPD: Float[Array, "B P D"] | None = None

    def at(self, site: int | slice) -> AnyModulation | None:
        """Return the modulation of one of the stack's sites, or of several."""
        return None if self.modulation is None else self.modulation.at(site)


class Encoded(NamedTuple):
    """The encoder's output for some rows: what a head reads."""

    memory_BSD: Float[Array, "B S D"]
    mask_BS: Bool[Array, "B S"]


class RowLoss(NamedTuple):
    """A head's loss per row, neither reduced nor weighted."""

    loss_B: Float[Array, " B"]
    """Nats, summed over what is judged; of numbers half a squared error."""
    judged_B: Float[Array, " B"]
    """How much is judged in each row: tokens, positions, frames, or one."""

    def of(self, counts_B: Bool[Array, " B"]) -> "RowLoss":
        """Return it with rows that do not count left out."""
        return RowLoss(jnp.where(counts_B, self.loss_B, 0), jnp.where(counts_B, self.judged_B, 0))


class TargetVectors(NamedTuple):
    """Targets as vectors: what a decoder and an implicit TCN read."""

    y_BTD: Float[Array, "B T D"]
    mask_BT: Bool[Array, "B T"]
    """Where there is something; a row without any has no target."""


def columns_of(
    kernel_DN: Float[Array, "D N"], index: Int[Array, "*rest"], has: Bool[Array, "*rest"]
) -> Float[Array, "*rest D"]:
    """Return columns of an output layer, at the scale of an embedding; zero where there is none."""
    rows = kernel_DN.T[jnp.where(has, index, 0)] * len(kernel_DN) ** 0.5
    return jnp.where(has[..., None], rows, 0)


def with_positions(x_BSD: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
    """Add sinusoidal positions."""
    return x_BSD + sinusoids(*x_BSD.shape[1:])[None]


def enter(
    x: Float[Array, "B S D"], condition: Condition, model: ModelConfig, key: Key[Array, ""] | None
) -> Float[Array, "B S D"]:
    """Modulate a stack's input (D4: at the model's width), then add positions."""
    return dropout(with_positions(modulate(x, condition.at(0))), model.dropout, key)


def with_prefix(condition: Condition, x: Float[Array, "B S D"]) -> Float[Array, "B P D"]:
    """Put a condition's vectors, if it has any, before a stack's input."""
    if condition.prefix_BPD is None:
        return x
    return jnp.concatenate([condition.prefix_BPD.astype(x.dtype), x], axis=1)


def norm_of(norm: nnx.LayerNorm | None, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """Apply a stack's final norm, if it has one."""
    return x if norm is None else norm(x)
