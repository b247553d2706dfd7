"""Encoder and decoder blocks, each with its places for FiLM (paper §2.2; D1)."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import Model
from taskaware.layers import FeedForward, MultiHeadAttention, causal_mask, dropout, split_key
from taskaware.modulation.film import Modulation, modulate


class Cache(NamedTuple):
    """What a decoder block remembers of the tokens so far, per beam."""

    key_BWTHK: Float[Array, "B W T H K"]
    value_BWTHK: Float[Array, "B W T H K"]


class KeysValues(NamedTuple):
    """The encoder's output as one decoder block attends to it; beams share it."""

    key_BSHK: Float[Array, "B S H K"]
    value_BSHK: Float[Array, "B S H K"]


class Residual(nnx.Module):
    """x + dropout(f(norm(x))), or norm(x + dropout(f(x))), with two places for FiLM inside."""

    def __init__(self, config: Model, *, rngs: nnx.Rngs):
        self.config = config
        self.norm = nnx.LayerNorm(config.d_model, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        branch: Callable[[Float[Array, "B T D"]], Float[Array, "B T D"]],
        modulation: Modulation | None,
        key: Key[Array, ""] | None,
    ) -> Float[Array, "B T D"]:
        """Add a branch to the stream."""
        pre, placement = self.config.norm == "pre", self.config.film.placement
        inner = self.norm(x) if pre else x
        if placement == "norm":
            inner = modulate(inner, modulation)
        out = dropout(branch(inner), self.config.dropout, key)
        if placement == "residual_branch":
            out = modulate(out, modulation)
        return x + out if pre else self.norm(x + out)


def block_output(
    x: Float[Array, "B T D"], modulation: Modulation | None, config: Model
) -> Float[Array, "B T D"]:
    """Modulate a whole block's output, where that is the placement (eq. 7 to the letter)."""
    return modulate(x, modulation) if config.film.placement == "block_output" else x


class EncoderBlock(nnx.Module):
    """Self-attention and a feed-forward layer."""

    def __init__(self, config: Model, *, rngs: nnx.Rngs):
        dtype = jnp.dtype(config.dtype).type
        self.config = config
        self.attention = MultiHeadAttention(
            config.d_model, config.num_heads, dtype=dtype, rngs=rngs
        )
        self.feed_forward = FeedForward(config.d_model, config.d_ff, dtype=dtype, rngs=rngs)
        self.add_attention = Residual(config, rngs=rngs)
        self.add_feed_forward = Residual(config, rngs=rngs)

    def __call__(
        self,
        x_BSD: Float[Array, "B S D"],
        modulation: Modulation | None,
        key: Key[Array, ""] | None,
        mask_BS: Bool[Array, "B S"],
    ) -> Float[Array, "B S D"]:
        """Transform source positions; none sees padding."""
        keys = split_key(key, 2)
        mask_BTS = mask_BS[:, None]
        x_BSD = self.add_attention(
            x_BSD, lambda h: self.attention(h, h, mask_BTS), modulation, keys[0]
        )
        x_BSD = self.add_feed_forward(x_BSD, self.feed_forward, modulation, keys[1])
        return block_output(x_BSD, modulation, self.config)


class DecoderBlock(nnx.Module):
    """Causal self-attention, attention to the encoder's output, and a feed-forward layer."""

    def __init__(self, config: Model, *, rngs: nnx.Rngs):
        dtype = jnp.dtype(config.dtype).type
        d_model, num_heads = config.d_model, config.num_heads
        self.config = config
        self.self_attention = MultiHeadAttention(d_model, num_heads, dtype=dtype, rngs=rngs)
        self.cross_attention = MultiHeadAttention(d_model, num_heads, dtype=dtype, rngs=rngs)
        self.feed_forward = FeedForward(d_model, config.d_ff, dtype=dtype, rngs=rngs)
        self.add_self = Residual(config, rngs=rngs)
        self.add_cross = Residual(config, rngs=rngs)
        self.add_feed_forward = Residual(config, rngs=rngs)

    def __call__(
        self,
        y_BTD: Float[Array, "B T D"],
        modulation: Modulation | None,
        key: Key[Array, ""] | None,
        memory_BSD: Float[Array, "B S D"],
        mask_BS: Bool[Array, "B S"],
    ) -> Float[Array, "B T D"]:
        """Transform target positions, each seeing itself, those before and the source."""
        return self._branches(
            y_BTD,
            lambda h: self.self_attention(h, h, causal_mask(y_BTD.shape[1])),
            lambda h: self.cross_attention(h, memory_BSD, mask_BS[:, None]),
            modulation,
            key,
        )

    def step(
        self,
        y_BWD: Float[Array, "B W D"],
        modulation: Modulation | None,
        source: KeysValues,
        mask_BS: Bool[Array, "B S"],
        cache: Cache,
        position: Int[Array, ""],
    ) -> tuple[Float[Array, "B W D"], Cache]:
        """Transform one new token of every beam; the cache holds those before."""
        num_rows, num_beams, _, num_heads, head_width = new_shape = (
            *y_BWD.shape[:2],
            1,
            *cache.key_BWTHK.shape[3:],
        )
        length = cache.key_BWTHK.shape[2]
        beams_as_rows = (num_rows * num_beams, length, num_heads, head_width)
        seen = (jnp.arange(length) <= position)[None, None]
        updated = cache

        def look_back(h: Float[Array, "B W D"]) -> Float[Array, "B W D"]:
            nonlocal updated
            h_row = h.reshape(num_rows * num_beams, 1, -1)
            new_key, new_value = self.self_attention.keys_values(h_row)
            at = (0, 0, position, 0, 0)
            updated = Cache(
                lax.dynamic_update_slice(cache.key_BWTHK, new_key.reshape(new_shape), at),
                lax.dynamic_update_slice(cache.value_BWTHK, new_value.reshape(new_shape), at),
            )
            keys, values = (leaf.reshape(beams_as_rows) for leaf in updated)
            return self.self_attention.look_up(h_row, keys, values, seen).reshape(h.shape)

        # Beams stand where a sequence's positions would, so they share the source's keys.
        y_BWD = self._branches(
            y_BWD,
            look_back,
            lambda h: self.cross_attention.look_up(h, *source, mask_BS[:, None]),
            modulation,
            None,
        )
        return y_BWD, updated

    def _branches(self, y, look_back, look_at_source, modulation, key):
        keys = split_key(key, 3)
        y = self.add_self(y, look_back, modulation, keys[0])
        y = self.add_cross(y, look_at_source, modulation, keys[1])
        y = self.add_feed_forward(y, self.feed_forward, modulation, keys[2])
        return block_output(y, modulation, self.config)
