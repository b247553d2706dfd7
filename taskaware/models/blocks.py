"""Encoder and decoder blocks, each with its sites for FiLM, and stacks of them (paper §2.2; D1)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import ModelConfig
from taskaware.devices.sharding import constrain
from taskaware.modulation.modulator import AnyModulation, modulate
from taskaware.nn.layers import (
    FeedForward,
    KeysValues,
    MultiHeadAttention,
    causal_mask,
    dropout,
    split_key,
)

_SAVEABLE = {
    "minimal": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}
"""What the backward pass keeps of a block's forward pass, by ``ModelConfig.remat``."""


class Residual(nnx.Module):
    """x + dropout(f(norm(x))), or norm(x + dropout(f(x))), with two sites for FiLM inside."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.norm = nnx.LayerNorm(config.d_model, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "B T D"],
        branch: Callable[[Float[Array, "B T D"]], Float[Array, "B T D"]],
        modulation: AnyModulation | None,
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
    x: Float[Array, "B T D"], modulation: AnyModulation | None, config: ModelConfig
) -> Float[Array, "B T D"]:
    """Modulate a block's output, if that is the placement (eq. 7 to the letter)."""
    return modulate(x, modulation) if config.film.placement == "block_output" else x


class EncoderBlock(nnx.Module):
    """Self-attention and a feed-forward layer."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
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
        modulation: AnyModulation | None,
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

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
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
        modulation: AnyModulation | None,
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
        modulation: AnyModulation | None,
        source: KeysValues,
        mask_BS: Bool[Array, "B S"],
        past: KeysValues,
        slot: Int[Array, ""],
        seen_BWX: Bool[Array, "B W X"],
    ) -> tuple[Float[Array, "B W D"], KeysValues]:
        """Transform one new token of every beam, and return ``past`` with its keys and values.

        Beams take the axis of a sequence's positions: they share the source, and one cache, of
        which ``seen_BWX`` marks the slots that each of them descends from.
        """

        def look_back(h: Float[Array, "B W D"]) -> Float[Array, "B W D"]:
            nonlocal past
            new = self.self_attention.keys_values(h)
            put = lax.dynamic_update_slice_in_dim
            past = KeysValues(
                put(past.key_BHKS, new.key_BHKS, slot, -1),
                put(past.value_BHSK, new.value_BHSK, slot, -2),
            )
            return self.self_attention.look_up(h, past, seen_BWX)

        y_BWD = self._branches(
            y_BWD,
            look_back,
            lambda h: self.cross_attention.look_up(h, source, mask_BS[:, None]),
            modulation,
            None,
        )
        return y_BWD, past

    def _branches(
        self,
        y: Float[Array, "B T D"],
        look_back: Callable[[Float[Array, "B T D"]], Float[Array, "B T D"]],
        look_at_source: Callable[[Float[Array, "B T D"]], Float[Array, "B T D"]],
        modulation: AnyModulation | None,
        key: Key[Array, ""] | None,
    ) -> Float[Array, "B T D"]:
        keys = split_key(key, 3)
        y = self.add_self(y, look_back, modulation, keys[0])
        y = self.add_cross(y, look_at_source, modulation, keys[1])
        y = self.add_feed_forward(y, self.feed_forward, modulation, keys[2])
        return block_output(y, modulation, self.config)


def run_blocks(
    blocks: Sequence[EncoderBlock] | Sequence[DecoderBlock],
    x: Float[Array, "B T D"],
    modulation: AnyModulation | None,
    key: Key[Array, ""] | None,
    *context: Float[Array, "B S D"] | Bool[Array, "B S"],
) -> Float[Array, "B T D"]:
    """Run a stack of blocks: unrolled, or as one compiled loop (``ModelConfig.scan``).

    Args:
        blocks: of one kind and configuration, the first applied first.
        x: their input.
        modulation: one site per block, in their order.
        key: for dropout; None for none.
        context: further arguments of every block: the source's mask, and before it, for a decoder,
            the encoder's output.
    """
    # Blocks differ in their weights only, so each is split into its graphdef, which is equal for
    # all, and its state. The function that runs one takes the graphdef as a static argument and the
    # state as data: traced once, it serves every block of a stack, in either way. Unrolled, it is
    # called per block, and XLA compiles a copy each, which it can fuse and schedule. As a loop, the
    # states are stacked and scanned over: compiling takes as long as for one block, but stacking
    # copies the weights.
    config = blocks[0].config
    keys = None if key is None else jax.random.split(key, len(blocks))
    body = _block_runner(config.remat, config.scan)
    graphdefs, states = zip(*map(nnx.split, blocks), strict=True)
    if config.scan:
        weights = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        each = functools.partial(body, graphdefs[0], context)
        return lax.scan(each, x, (weights, (modulation, keys)))[0]
    for layer, (graphdef, weights) in enumerate(zip(graphdefs, states, strict=True)):
        slices = weights, jax.tree.map(lambda leaf, i=layer: leaf[i], (modulation, keys))
        x, _ = body(graphdef, context, x, slices)
    return x


def _run_block(
    graphdef: nnx.GraphDef, context: tuple[Array, ...], x: Float[Array, "B T D"], slices: Any
) -> tuple[Float[Array, "B T D"], None]:
    """Run one block; the signature is that of a body of ``lax.scan``."""
    weights, (site, block_key) = slices
    x = nnx.merge(graphdef, weights)(x, site, block_key, *context)
    return constrain(x, "batch", None, None), None


@functools.cache
def _block_runner(remat: str, scan: bool) -> Callable[..., tuple[Array, None]]:
    """Return the one function that runs every block, so that equal ones are traced once."""
    run = _run_block
    if remat != "none":
        run = jax.checkpoint(run, policy=_SAVEABLE[remat], prevent_cse=not scan, static_argnums=0)
    return run if scan else jax.jit(run, static_argnums=0)
