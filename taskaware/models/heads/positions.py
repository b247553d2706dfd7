"""Heads of one answer per source position: tags of words, labels of frames."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from taskaware.config import ModelConfig
from taskaware.dims import FrameLabels, Tags
from taskaware.models.heads.base import (
    Condition,
    Encoded,
    RowLoss,
    TargetVectors,
    columns_of,
)
from taskaware.modulation.modulator import modulate
from taskaware.nn.linear import Linear
from taskaware.nn.losses import binary_cross_entropy, smoothed_cross_entropy


class TagHead(nnx.Module):
    """One tag per judged source position: a linear layer.

    Args:
        model: the model's shape.
        outputs: how many tags there are.
    """

    num_sites = 1

    def __init__(self, model: ModelConfig, outputs: int, *, rngs: nnx.Rngs):
        self.scores = Linear(model.d_model, outputs, dtype=jnp.float32, rngs=rngs)

    def outputs(self, encoded: Encoded, condition: Condition) -> Float[Array, "B S N"]:
        """Return the logits of the tags."""
        return self.scores(modulate(encoded.memory_BSD, condition.at(0)))

    def loss(self, encoded: Encoded, target: Tags, condition: Condition) -> RowLoss:
        """Return the cross-entropy of the judged positions, summed."""
        label_BS = jnp.asarray(target.label_BS)
        logits_BSN = self.outputs(encoded, condition)[:, : label_BS.shape[1]]
        loss_BS = smoothed_cross_entropy(logits_BSN, jnp.maximum(label_BS - 1, 0), 0.0)
        judged_BS = label_BS > 0
        loss_B = jnp.where(judged_BS, loss_BS, 0).sum(1)
        return RowLoss(loss_B, judged_BS.sum(1).astype(jnp.float32))

    def vectors(self, target: Tags) -> TargetVectors:
        """Return the tags' columns of the output layer."""
        label_BS = jnp.asarray(target.label_BS)
        has_BS = label_BS > 0
        return TargetVectors(columns_of(self.scores.kernel[...], label_BS - 1, has_BS), has_BS)


class FrameHead(nnx.Module):
    """Which labels hold in each frame: a linear layer that makes ``stride`` frames per position.

    Args:
        model: the model's shape.
        outputs: N, how many labels there are; any number of them may hold at once.
    """

    num_sites = 1

    def __init__(self, model: ModelConfig, outputs: int, *, rngs: nnx.Rngs):
        self.stride, self.num_labels = model.stride, outputs
        self.scores = Linear(model.d_model, model.stride * outputs, dtype=jnp.float32, rngs=rngs)

    def outputs(self, encoded: Encoded, condition: Condition) -> Float[Array, "B A N"]:
        """Return the logits of each label in each frame of 10 ms."""
        x = self.scores(modulate(encoded.memory_BSD, condition.at(0)))
        return x.reshape(len(x), -1, self.num_labels)

    def loss(self, encoded: Encoded, target: FrameLabels, condition: Condition) -> RowLoss:
        """Return the binary cross-entropy, summed over frames and labels."""
        holds_BAN = jnp.asarray(target.holds_BAN)
        frames = holds_BAN.shape[1]
        logits_BAN = self.outputs(encoded, condition)[:, :frames]
        loss_BAN = binary_cross_entropy(logits_BAN, holds_BAN)
        valid_BA = jnp.arange(frames)[None] < jnp.asarray(target.length_B)[:, None]
        loss_B = jnp.where(valid_BA[..., None], loss_BAN, 0).sum((1, 2))
        return RowLoss(loss_B, valid_BA.sum(1).astype(jnp.float32))

    def vectors(self, target: FrameLabels) -> TargetVectors:
        """Return, per position, the sum of the columns of the labels that hold in its frames."""
        holds_BAN, length_B = jnp.asarray(target.holds_BAN), jnp.asarray(target.length_B)
        rows, frames = holds_BAN.shape[:2]
        positions = -(-frames // self.stride)
        padded = jnp.pad(holds_BAN, ((0, 0), (0, positions * self.stride - frames), (0, 0)))
        flat = padded.reshape(rows, positions, -1).astype(jnp.float32) / self.stride
        kernel_DN = self.scores.kernel[...] * len(self.scores.kernel[...]) ** 0.5
        y_BTD = jnp.einsum("BTN,DN->BTD", flat, kernel_DN)
        mask_BT = jnp.arange(positions)[None] * self.stride < length_B[:, None]
        return TargetVectors(jnp.where(mask_BT[..., None], y_BTD, 0), mask_BT)
