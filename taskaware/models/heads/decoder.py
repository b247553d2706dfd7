"""An autoregressive decoder of tokens."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import ModelConfig
from taskaware.config.heads import DecoderConfig
from taskaware.dims import PAD, Cache, Tokens
from taskaware.models.blocks import DecoderBlock, run_blocks
from taskaware.models.frontends import TokenEmbedding
from taskaware.models.heads.base import Condition, Encoded, RowLoss, enter, norm_of, with_prefix
from taskaware.modulation.modulator import modulate
from taskaware.nn.layers import KeysValues, sinusoids, split_key
from taskaware.nn.losses import cross_entropy_of_stream

NextLogits = Callable[[Int[Array, "B W"], Int[Array, ""], Cache], tuple[Array, Cache]]
"""One step of a decoder: (tokens_BW, position, cache) → (logits_BWV, cache). The first token is
PAD, whose embedding is zero."""


class Decoder(nnx.Module):
    """Blocks over the tokens so far; the table of tokens is the model's.

    Args:
        config: how many blocks.
        model: the model's shape.
    """

    def __init__(self, config: DecoderConfig, model: ModelConfig, *, rngs: nnx.Rngs):
        self.config = model
        layers = config.layers or model.decoder_layers
        self.blocks = nnx.List([DecoderBlock(model, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(model.d_model, rngs=rngs) if model.norm == "pre" else None

    @property
    def num_sites(self) -> int:
        """Sites of modulation: at the entry and after each block."""
        return 1 + len(self.blocks)

    def stream(
        self,
        encoded: Encoded,
        y_BTD: Float[Array, "B T D"],
        condition: Condition,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Return what every position's next token is scored from, given the targets' vectors."""
        shifted = jnp.pad(y_BTD[:, :-1], ((0, 0), (1, 0), (0, 0)))  # starts from zero: D17
        keys = split_key(key, 2)
        x = enter(with_prefix(condition, shifted), condition, self.config, keys[0])
        at_blocks = condition.at(slice(1, None))
        x = run_blocks(self.blocks, x, at_blocks, keys[1], encoded.memory_BSD, encoded.mask_BS)
        return x[:, -y_BTD.shape[1] :]  # a prefix predicts nothing

    def logits(self, y_BTD: Float[Array, "B T D"], table: TokenEmbedding) -> Float[Array, "B T V"]:
        """Score every token, given the stream before the final norm."""
        return table.logits(norm_of(self.norm, y_BTD))

    def loss(
        self,
        y_BTD: Float[Array, "B T D"],
        target: Tokens,
        table: TokenEmbedding,
        smoothing: float,
    ) -> RowLoss:
        """Return the cross-entropy of the tokens, summed, given their ``stream``."""
        target_BT = jnp.asarray(target.tokens_BT)
        loss_BT = cross_entropy_of_stream(
            lambda y: self.logits(y, table), y_BTD, target_BT, smoothing
        )
        judged_BT = target_BT != PAD
        loss_B = jnp.where(judged_BT, loss_BT, 0).sum(1)
        return RowLoss(loss_B, judged_BT.sum(1).astype(jnp.float32))

    def start_decoding(
        self,
        encoded: Encoded,
        condition: Condition,
        table: TokenEmbedding,
        num_beams: int,
        max_length: int,
    ) -> tuple[NextLogits, Cache]:
        """Return (next_logits, cache) for the searches of ``search``; the TCN is not called."""
        # XLA would otherwise undo the keys' transposition, and redo it at every step.
        source = lax.optimization_barrier(self.source_keys(encoded))
        return self.decoding(source, encoded.mask_BS, condition, table, num_beams, max_length)

    def source_keys(self, encoded: Encoded) -> list[KeysValues]:
        """Return the keys and values that each block attends to, once per source."""
        return [b.cross_attention.keys_values(encoded.memory_BSD) for b in self.blocks]

    def decoding(
        self,
        source: list[KeysValues],
        mask_BS: Bool[Array, "B S"],
        condition: Condition,
        table: TokenEmbedding,
        num_beams: int,
        max_length: int,
    ) -> tuple[NextLogits, Cache]:
        """Return (next_logits, cache) as ``start_decoding``, from the blocks' keys and values."""
        # One cache serves all beams of a row: keys and values of a token are written once, to the
        # slot of its position and beam, and stay there when the search drops, copies or reorders
        # beams. What moves is ``beams``, a mask per beam of the slots of the tokens it descends
        # from: bits in place of D numbers per block. A prefix's slots come first, in every mask.
        config, prefix_BPD = self.config, condition.prefix_BPD
        prefix_length = 0 if prefix_BPD is None else prefix_BPD.shape[1]
        position_TD = jnp.asarray(sinusoids(prefix_length + max_length, config.d_model))
        rows, slots = len(mask_BS), prefix_length + max_length * num_beams  # one per token and beam
        head_width = config.d_model // config.num_heads
        empty_BHXK = jnp.zeros((rows, config.num_heads, slots, head_width))
        past = [KeysValues(empty_BHXK.swapaxes(-1, -2), empty_BHXK) for _ in self.blocks]
        cache = Cache(jnp.zeros((rows, 1, slots), bool), past)

        def take_in(
            y_BWD: Float[Array, "B W D"],
            position: Int[Array, ""],
            slot: Int[Array, ""],
            cache: Cache,
        ) -> tuple[Float[Array, "B W D"], Cache]:
            y_BWD = modulate(y_BWD, condition.at(0)) + position_TD[position][None, None]
            itself = jnp.tile(jnp.eye(y_BWD.shape[1], dtype=bool), (rows, 1, 1))
            seen_BWX = lax.dynamic_update_slice_in_dim(cache.beams, itself, slot, axis=-1)
            past = []
            for layer, block in enumerate(self.blocks):
                y_BWD, layer_past = block.step(
                    y_BWD,
                    condition.at(1 + layer),
                    source[layer],
                    mask_BS,
                    cache.rows[layer],
                    slot,
                    seen_BWX,
                )
                past.append(layer_past)
            return y_BWD, Cache(seen_BWX, past)

        def next_logits(
            tokens_BW: Int[Array, "B W"], position: Int[Array, ""], cache: Cache
        ) -> tuple[Float[Array, "B W V"], Cache]:
            slot = prefix_length + position * num_beams
            y_BWD, cache = take_in(table(tokens_BW), prefix_length + position, slot, cache)
            return self.logits(y_BWD, table), cache

        for place in range(prefix_length):
            assert prefix_BPD is not None
            slot = jnp.int32(place)
            _, cache = take_in(prefix_BPD[:, place][:, None], slot, slot, cache)
        return next_logits, Cache(jnp.repeat(cache.beams, num_beams, axis=1), cache.rows)
