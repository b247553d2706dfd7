"""Parts of the Transformer that the TCN and the model share (Vaswani et al. 2017).

Nothing here draws random numbers of its own: dropout takes its key as an argument, and drops
nothing without one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Key

from taskaware.nn.linear import Linear

NEVER = -1e9
"""The score of what must not be chosen: finite, so that a row without any choice stays finite."""


class OneKey(nnx.Rngs):
    """Always the same random key, for models that only ``nnx.eval_shape`` builds.

    Tracing how ``nnx.Rngs`` counts its keys takes ten times as long as everything else.
    """

    def params(self) -> Key[Array, ""]:
        """Return the key."""
        return jax.random.key(0)


def dropout(
    x: Float[Array, "*shape"], rate: float, key: Key[Array, ""] | None
) -> Float[Array, "*shape"]:
    """Zero each value with probability ``rate`` and scale the others by 1 / (1 - rate)."""
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


def split_key(key: Key[Array, ""] | None, count: int) -> list[Key[Array, ""] | None]:
    """Return ``count`` independent keys, or as many Nones if there is no key."""
    return [None] * count if key is None else list(jax.random.split(key, count))


def sinusoids(length: int, d_model: int) -> Float[np.ndarray, "S D"]:
    """Return sine and cosine positions: sines in the first half, cosines in the second.

    Source: Vaswani et al. 2017 §3.5, in the halved layout of TensorFlow's official Transformer
    (D17).
    """
    frequency = 10_000.0 ** -(np.arange(d_model // 2) / max(d_model // 2 - 1, 1))
    angle = np.arange(length)[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)


def causal_mask(length: int) -> Bool[np.ndarray, "1 T T"]:
    """Return which positions each position may attend to: itself and those before it."""
    return np.tril(np.ones((1, length, length), bool))


class KeysValues(NamedTuple):
    """Keys and values per head. Keys are transposed, which makes products with few queries fast."""

    key_BHKS: Float[Array, "B H K S"]
    value_BHSK: Float[Array, "B H S K"]


def attend(
    q_BTHK: Float[Array, "B T H K"],
    memory: KeysValues,
    mask_BTS: Bool[Array | np.ndarray, "#B #T S"],
    dtype: DTypeLike = jnp.float32,
) -> Float[Array, "B T H K"]:
    """Return softmax(q kᵀ / √K) v over the memory positions where the mask is True."""
    q_BHTK = q_BTHK.transpose(0, 2, 1, 3) * q_BTHK.shape[-1] ** -0.5
    # Decoding multiplies by the cached keys in their layout. In training there is no cache, and
    # "BHTK,BHKS" would make XLA:CPU transpose keys first: attention took up to 1.15 of the time.
    score_BHTS = jnp.einsum(
        "BHTK,BHSK->BHTS",
        q_BHTK.astype(dtype),
        memory.key_BHKS.swapaxes(-1, -2).astype(dtype),
        preferred_element_type=jnp.float32,
    )
    weight_BHTS = jax.nn.softmax(jnp.where(mask_BTS[:, None], score_BHTS, NEVER))
    # Not "->BTHK": XLA:CPU would swap the operands, which is its slowest way for few queries.
    out_BHTK = jnp.einsum(
        "BHTS,BHSK->BHTK",
        weight_BHTS.astype(dtype),
        memory.value_BHSK.astype(dtype),
        preferred_element_type=jnp.float32,
    )
    return out_BHTK.transpose(0, 2, 1, 3)


class MultiHeadAttention(nnx.Module):
    """Multi-head attention (Vaswani et al. 2017 §3.2.2)."""

    def __init__(self, d_model: int, num_heads: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.dtype = dtype
        self.query = Linear(d_model, d_model, dtype=dtype, rngs=rngs)
        self.key = Linear(d_model, d_model, dtype=dtype, rngs=rngs)
        self.value = Linear(d_model, d_model, dtype=dtype, rngs=rngs)
        self.out = Linear(d_model, d_model, dtype=dtype, rngs=rngs)

    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        memory_BSD: Float[Array, "B S D"],
        mask_BTS: Bool[Array | np.ndarray, "#B #T S"],
    ) -> Float[Array, "B T D"]:
        """Return what each position of x gathers from the memory."""
        return self.look_up(x_BTD, self.keys_values(memory_BSD), mask_BTS)

    def keys_values(self, memory_BSD: Float[Array, "B S D"]) -> KeysValues:
        """Return the keys and values of a memory, which decoding caches."""
        k_BSHK, v_BSHK = (self._heads(f(memory_BSD)) for f in (self.key, self.value))
        return KeysValues(k_BSHK.transpose(0, 2, 3, 1), v_BSHK.transpose(0, 2, 1, 3))

    def look_up(
        self,
        x_BTD: Float[Array, "B T D"],
        memory: KeysValues,
        mask_BTS: Bool[Array | np.ndarray, "#B #T S"],
    ) -> Float[Array, "B T D"]:
        """Return what each position of x gathers from keys and values computed before."""
        q_BTHK = self._heads(self.query(x_BTD))
        out_BTHK = attend(q_BTHK, memory, mask_BTS, self.dtype)
        return self.out(out_BTHK.reshape(x_BTD.shape))

    def _heads(self, x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T H K"]:
        return x_BTD.reshape(*x_BTD.shape[:2], self.num_heads, -1)


class FeedForward(nnx.Module):
    """max(0, x W₁ + b₁) W₂ + b₂ (Vaswani et al. 2017 eq. 2)."""

    def __init__(self, d_model: int, d_ff: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.up = Linear(d_model, d_ff, dtype=dtype, rngs=rngs)
        self.down = Linear(d_ff, d_model, dtype=dtype, rngs=rngs)

    def __call__(self, x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Transform each position independently."""
        return self.down(jax.nn.relu(self.up(x_BTD)))
