"""Connectionist temporal classification: tokens or symbols without a decoder."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from taskaware.config import ModelConfig
from taskaware.config.heads import CTCConfig
from taskaware.devices.sharding import constrain
from taskaware.dims import PAD, Tokens
from taskaware.models.heads.base import (
    Condition,
    Encoded,
    RowLoss,
    TargetVectors,
    columns_of,
)
from taskaware.modulation.modulator import modulate
from taskaware.nn.linear import Linear
from taskaware.nn.losses import ctc_labels, ctc_loss


class CTC(nnx.Module):
    """One linear layer per position; the blank is token 0.

    Args:
        config: its rate.
        model: the model's shape.
        outputs: V, the blank included.
    """

    def __init__(self, config: CTCConfig, model: ModelConfig, outputs: int, *, rngs: nnx.Rngs):
        dtype = jnp.dtype(model.dtype).type
        self.rate, self.d_model = config.rate, model.d_model
        width = config.rate * model.d_model
        finer = config.rate > 1
        self.finer = Linear(model.d_model, width, dtype=dtype, rngs=rngs) if finer else None
        self.scores = Linear(model.d_model, outputs, dtype=dtype, rngs=rngs)

    num_sites = 1

    def logits(self, encoded: Encoded, condition: Condition) -> Float[Array, "B S V"]:
        """Score every token at each of ``rate`` outputs per position."""
        x_BSD = modulate(encoded.memory_BSD, condition.at(0))
        if self.finer is not None:
            x_BSD = jax.nn.relu(self.finer(x_BSD).reshape(len(x_BSD), -1, self.d_model))
        return constrain(self.scores(x_BSD), "data rows", None, "vocabulary")

    def outputs(self, encoded: Encoded, condition: Condition) -> Encoded:
        """Return log probabilities (B, S, V) with the mask of the valid ones."""
        log_p_BSV = jax.nn.log_softmax(self.logits(encoded, condition).astype(jnp.float32))
        return Encoded(log_p_BSV, jnp.repeat(encoded.mask_BS, self.rate, axis=1))

    def loss(self, encoded: Encoded, target: Tokens, condition: Condition) -> RowLoss:
        """Return the loss of all alignments, per label token; zero where labels do not fit.

        Source: Graves et al. 2006, "Connectionist Temporal Classification".
        """
        labels_BT = ctc_labels(jnp.asarray(target.tokens_BT))
        mask_BS = jnp.repeat(encoded.mask_BS, self.rate, axis=1)
        loss_B, feasible_B = ctc_loss(self.logits(encoded, condition), mask_BS, labels_BT)
        length_B: Int[Array, " B"] = (labels_BT != PAD).sum(1)
        return RowLoss(loss_B, jnp.where(feasible_B, length_B, 0).astype(jnp.float32))

    def vectors(self, target: Tokens) -> TargetVectors:
        """Return the symbols' columns of the output layer."""
        token_BT = jnp.asarray(target.tokens_BT)
        has_BT = token_BT != PAD
        return TargetVectors(columns_of(self.scores.kernel[...], token_BT, has_BT), has_BT)
