"""The Transformer's parts that both the TCN and the model are made of (Vaswani et al. 2017).

Nothing here is random at run time: dropout takes its key as an argument, and no key means none.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Key

_NEVER = -1e9  # a finite score, so that a row with nothing to attend to stays finite


class OneKey(nnx.Rngs):
    """Hands out one key again and again, to models of which ``nnx.eval_shape`` takes the shapes.

    To trace how ``nnx.Rngs`` counts its keys takes ten times as long as all the rest.
    """

    def params(self) -> Key[Array, ""]:
        """Return the key."""
        return jax.random.key(0)


class Linear(nnx.Linear):
    """``nnx.Linear`` over a matrix whatever the input's rank.

    With three-dimensional operands XLA:CPU transposes a copy for the kernel's gradient, which
    made a small model's step 1.5 times slower. The product's operands take ``dtype``; its sums
    and its result are float32.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: Any,
        rngs: nnx.Rngs,
        kernel_init: nnx.Initializer | None = None,
    ):
        super().__init__(
            in_features,
            out_features,
            dtype=dtype,
            preferred_element_type=jnp.float32,
            kernel_init=kernel_init or nnx.initializers.xavier_uniform(),
            rngs=rngs,
        )

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, inputs: Float[Array, "*rest F"]
    ) -> Float[Array, "*rest D"]:
        """Return inputs · kernel + bias over the last axis."""
        flat = super().__call__(inputs.reshape(-1, inputs.shape[-1]))
        return flat.reshape(*inputs.shape[:-1], self.out_features)


class TurnedLinear(nnx.Module):
    """A ``Linear`` whose kernel lies turned: see ``turned_product``."""

    def __init__(self, linear: Linear):
        assert linear.bias is not None
        self.dtype = linear.dtype
        self.kernel_DF = nnx.Param(linear.kernel[...].T.astype(linear.dtype))
        self.bias_D = nnx.Param(linear.bias[...].astype(linear.dtype))

    def __call__(self, inputs: Float[Array, "*rest F"]) -> Float[Array, "*rest D"]:
        """Return inputs · kernel + bias over the last axis."""
        flat_NF = inputs.reshape(-1, inputs.shape[-1]).astype(self.dtype)
        flat_ND = turned_product(flat_NF, self.kernel_DF[...]) + self.bias_D[...][None]
        return flat_ND.reshape(*inputs.shape[:-1], -1)


def are_few(rows: int) -> bool:
    """Return whether a kernel that lies turned is multiplied faster by so many rows on a CPU."""
    return jax.default_backend() == "cpu" and 3 <= rows <= 64


def turn_kernels(module: nnx.Module) -> None:
    """Make a ``TurnedLinear`` of every ``Linear`` within a module."""
    for part in [part for _, part in nnx.iter_modules(module)]:
        for name, child in list(vars(part).items()):
            if type(child) is Linear:
                setattr(part, name, TurnedLinear(child))


def turned_product(
    x_NF: Float[Array, "N F"], kernel_DF: Float[Array, "D F"]
) -> Float[Array, "N D"]:
    """Return x · kernelᵀ, in float32; for a few rows on a CPU by (kernel · xᵀ)ᵀ.

    XLA:CPU packs a product's second operand before it multiplies. Of a kernel that takes longer
    than to multiply it by a few rows, so then they are the second; the barriers keep XLA from
    turning that round again.
    """
    if not are_few(len(x_NF)):
        return jnp.einsum("NF,DF->ND", x_NF, kernel_DF, preferred_element_type=jnp.float32)
    x_FN = lax.optimization_barrier(x_NF.T)
    y_DN = jnp.einsum("DF,FN->DN", kernel_DF, x_FN, preferred_element_type=jnp.float32)
    return lax.optimization_barrier(y_DN).T


def dropout(
    x: Float[Array, "*shape"], rate: float, key: Key[Array, ""] | None
) -> Float[Array, "*shape"]:
    """Zero each value with probability ``rate`` and scale the others by 1 / (1 - rate)."""
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


def split_key(key: Key[Array, ""] | None, count: int) -> list[Key[Array, ""] | None]:
    """Return ``count`` independent keys, or as many Nones where there is none."""
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
    """Return which positions each position may see: itself and those before."""
    return np.tril(np.ones((1, length, length), bool))


class KeysValues(NamedTuple):
    """What is attended to, each head by itself; keys so that a few queries are multiplied fast."""

    key_BHKS: Float[Array, "B H K S"]
    value_BHSK: Float[Array, "B H S K"]


def attend(
    q_BTHK: Float[Array, "B T H K"],
    memory: KeysValues,
    mask_BTS: Bool[Array | np.ndarray, "#B #T S"],
    dtype=jnp.float32,
) -> Float[Array, "B T H K"]:
    """Return softmax(q kᵀ / √K) v, where the mask is True."""
    q_BHTK = q_BTHK.transpose(0, 2, 1, 3) * q_BTHK.shape[-1] ** -0.5
    # Decoding multiplies by the keys as they lie. In training nothing lies yet, and "BHTK,BHKS"
    # would have XLA:CPU turn them first: attention took up to 1.15 of the time.
    score_BHTS = jnp.einsum(
        "BHTK,BHSK->BHTS",
        q_BHTK.astype(dtype),
        memory.key_BHKS.swapaxes(-1, -2).astype(dtype),
        preferred_element_type=jnp.float32,
    )
    weight_BHTS = jax.nn.softmax(jnp.where(mask_BTS[:, None], score_BHTS, _NEVER))
    # Not "->BTHK": XLA:CPU would multiply the other way round, in its slowest way for few queries.
    out_BHTK = jnp.einsum(
        "BHTS,BHSK->BHTK",
        weight_BHTS.astype(dtype),
        memory.value_BHSK.astype(dtype),
        preferred_element_type=jnp.float32,
    )
    return out_BHTK.transpose(0, 2, 1, 3)


class MultiHeadAttention(nnx.Module):
    """Attention of a model's width in several heads (Vaswani et al. 2017 §3.2.2)."""

    def __init__(self, d_model: int, num_heads: int, *, dtype, rngs: nnx.Rngs):
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
        """Return what is attended to, to be kept while decoding."""
        k_BSHK, v_BSHK = (self._heads(f(memory_BSD)) for f in (self.key, self.value))
        return KeysValues(k_BSHK.transpose(0, 2, 3, 1), v_BSHK.transpose(0, 2, 1, 3))

    def look_up(
        self,
        x_BTD: Float[Array, "B T D"],
        memory: KeysValues,
        mask_BTS: Bool[Array | np.ndarray, "#B #T S"],
    ) -> Float[Array, "B T D"]:
        """Return what each position of x gathers from given keys and values."""
        q_BTHK = self._heads(self.query(x_BTD))
        out_BTHK = attend(q_BTHK, memory, mask_BTS, self.dtype)
        return self.out(out_BTHK.reshape(x_BTD.shape))

    def _heads(self, x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T H K"]:
        return x_BTD.reshape(*x_BTD.shape[:2], self.num_heads, -1)


class FeedForward(nnx.Module):
    """max(0, x W₁ + b₁) W₂ + b₂ (Vaswani et al. 2017 eq. 2)."""

    def __init__(self, d_model: int, d_ff: int, *, dtype, rngs: nnx.Rngs):
        self.up = Linear(d_model, d_ff, dtype=dtype, rngs=rngs)
        self.down = Linear(d_ff, d_model, dtype=dtype, rngs=rngs)

    def __call__(self, x_BTD: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Transform each position by itself."""
        return self.down(jax.nn.relu(self.up(x_BTD)))
