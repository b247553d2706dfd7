"""Heads of one answer per row, from the encoder's output pooled over time."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from taskaware.config import ModelConfig
from taskaware.config.heads import LabelConfig, NumberConfig
from taskaware.dims import Label, Number
from taskaware.models.heads.base import (
    Condition,
    Encoded,
    RowLoss,
    TargetVectors,
    columns_of,
)
from taskaware.modulation.modulator import modulate
from taskaware.nn.layers import NEVER
from taskaware.nn.linear import Linear
from taskaware.nn.losses import smoothed_cross_entropy


class Pooling(nnx.Module):
    """The mean over valid positions, or a sum of them weighted by a learned softmax."""

    def __init__(self, kind: Literal["mean", "attention"], d_model: int, *, rngs: nnx.Rngs):
        learned = kind == "attention"
        self.weigh = Linear(d_model, 1, dtype=jnp.float32, rngs=rngs) if learned else None

    def __call__(
        self, x_BSD: Float[Array, "B S D"], mask_BS: Bool[Array, "B S"]
    ) -> Float[Array, "B D"]:
        """Return one vector per row; zero for a row without a valid position."""
        if self.weigh is None:
            count_B = jnp.maximum(mask_BS.sum(1), 1)
            return jnp.where(mask_BS[..., None], x_BSD, 0).sum(1) / count_B[:, None]
        score_BS = jnp.where(mask_BS, self.weigh(x_BSD)[..., 0], NEVER)
        weight_BS = jnp.where(mask_BS, jax.nn.softmax(score_BS, axis=1), 0)
        return jnp.einsum("BS,BSD->BD", weight_BS, x_BSD)


class LabelHead(nnx.Module):
    """One label per row: a linear layer over the pooled output.

    Args:
        config: how to pool.
        model: the model's shape.
        outputs: how many labels there are.
    """

    num_sites = 1

    def __init__(self, config: LabelConfig, model: ModelConfig, outputs: int, *, rngs: nnx.Rngs):
        self.pool = Pooling(config.pooling, model.d_model, rngs=rngs)
        self.scores = Linear(model.d_model, outputs, dtype=jnp.float32, rngs=rngs)

    def outputs(self, encoded: Encoded, condition: Condition) -> Float[Array, "B N"]:
        """Return the logits of the labels."""
        x_BSD = modulate(encoded.memory_BSD, condition.at(0))
        return self.scores(self.pool(x_BSD, encoded.mask_BS))

    def loss(self, encoded: Encoded, target: Label, condition: Condition) -> RowLoss:
        """Return the cross-entropy of rows that have a label."""
        logits_BN, label_B = self.outputs(encoded, condition), jnp.asarray(target.label_B)
        index_B = jnp.maximum(label_B - 1, 0)
        loss_B = smoothed_cross_entropy(logits_BN[:, None], index_B[:, None], 0.0)[:, 0]
        judged_B = label_B > 0
        return RowLoss(jnp.where(judged_B, loss_B, 0), judged_B.astype(jnp.float32))

    def vectors(self, target: Label) -> TargetVectors:
        """Return the labels' columns of the output layer."""
        label_B = jnp.asarray(target.label_B)
        has_B = label_B > 0
        y_BD = columns_of(self.scores.kernel[...], label_B - 1, has_B)
        return TargetVectors(y_BD[:, None], has_B[:, None])


class NumberHead(nnx.Module):
    """One number per row, in units of its deviation from its mean over the training data."""

    num_sites = 1

    def __init__(self, config: NumberConfig, model: ModelConfig, *, rngs: nnx.Rngs):
        self.pool = Pooling(config.pooling, model.d_model, rngs=rngs)
        self.scores = Linear(model.d_model, 1, dtype=jnp.float32, rngs=rngs)

    def outputs(self, encoded: Encoded, condition: Condition) -> Float[Array, " B"]:
        """Return the numbers, scaled."""
        x_BSD = modulate(encoded.memory_BSD, condition.at(0))
        return self.scores(self.pool(x_BSD, encoded.mask_BS))[:, 0]

    def loss(self, encoded: Encoded, target: Number, condition: Condition) -> RowLoss:
        """Return half the squared error of rows that have a number."""
        number_B = jnp.asarray(target.number_B)
        judged_B = ~jnp.isnan(number_B)
        error_B = self.outputs(encoded, condition) - jnp.where(judged_B, number_B, 0)
        return RowLoss(jnp.where(judged_B, error_B**2 / 2, 0), judged_B.astype(jnp.float32))

    def vectors(self, target: Number) -> TargetVectors:
        """Return the numbers times the output layer's kernel."""
        number_B = jnp.asarray(target.number_B)
        has_B = ~jnp.isnan(number_B)
        kernel_D = self.scores.kernel[...][:, 0] * len(self.scores.kernel[...]) ** 0.5
        y_BD = jnp.where(has_B, number_B, 0)[:, None] * kernel_D[None]
        return TargetVectors(y_BD[:, None], has_B[:, None])
