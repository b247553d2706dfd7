"""From log-mel frames and from tokens to the model's width (paper §2.1)."""

from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int

from taskaware.devices.sharding import constrain
from taskaware.dims import MEL_CHANNELS, PAD, AnyArray
from taskaware.nn.linear import Linear, transposed_product


class StridedConv(nnx.Module):
    """A 3×3 convolution of stride 2 in time and frequency, then ReLU."""

    def __init__(self, channels_in: int, channels_out: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.dtype = dtype
        init = nnx.initializers.he_normal()  # keeps the scale through ReLU
        self.kernel = nnx.Param(init(rngs.params(), (9 * channels_in, channels_out)))
        self.bias = nnx.Param(nnx.initializers.zeros(rngs.params(), (channels_out,)))

    def __call__(self, x: Float[Array, "B time freq C"]) -> Float[Array, "B time2 freq2 F"]:
        """Halve time and frequency, rounding up; the input is padded with zeros."""
        y = _convolve(x.astype(self.dtype), self.kernel[...].astype(self.dtype))
        return jax.nn.relu(y + self.bias[...].astype(self.dtype)[None, None, None])


@jax.custom_vjp
def _convolve(x: Float[Array, "B time freq C"], kernel: Float[Array, "patch F"]) -> Array:
    """Return the convolution, in float32; the kernel is nine blocks of C rows each.

    Under differentiation (reverse mode only) it is a matrix product instead: on a CPU that is 1.6
    times faster than ``lax.conv`` and its gradient. Without a gradient ``lax.conv`` takes half to
    all of the product's time.
    """
    # Only an odd length needs padding at its end.
    pads = [(1, length % 2) for length in x.shape[1:3]]
    return lax.conv_general_dilated(
        x,
        kernel.reshape(3, 3, x.shape[-1], -1),
        (2, 2),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        preferred_element_type=jnp.float32,
    )


def _unfold_and_multiply(x: Array, kernel: Array) -> Array:
    """Return the convolution, computed as one product of nine strided slices."""
    time, freq = -(-x.shape[1] // 2), -(-x.shape[2] // 2)
    x = jnp.pad(x, ((0, 0), (1, 2), (1, 2), (0, 0)))
    patches = [x[:, t : t + 2 * time : 2, f : f + 2 * freq : 2] for t in range(3) for f in range(3)]
    flat = jnp.concatenate(patches, axis=-1).reshape(-1, len(kernel))
    y = jnp.matmul(flat, kernel, preferred_element_type=jnp.float32)
    return y.reshape(len(x), time, freq, -1)


_convolve.defvjp(lambda *args: jax.vjp(_unfold_and_multiply, *args), lambda vjp, y: vjp(y))


class SpeechFrontend(nnx.Module):
    """k convolutions of stride 2, then one linear map to the model's width.

    A frames become ⌈A / 2^k⌉ positions. Frames beyond a row's length are set to zero before every
    convolution, like its padding, so that padding a batch changes no result.
    """

    def __init__(
        self,
        d_model: int,
        *,
        channels: Sequence[int],
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.convolutions = nnx.List(
            [
                StridedConv(channels_in, channels_out, dtype=dtype, rngs=rngs)
                for channels_in, channels_out in pairwise((1, *channels))
            ]
        )
        height = -(-MEL_CHANNELS // 2 ** len(channels))
        self.project = Linear(height * channels[-1], d_model, dtype=dtype, rngs=rngs)

    def __call__(
        self, frames_BAC: Float[AnyArray, "B A C"], length_B: Int[AnyArray, " B"]
    ) -> tuple[Float[Array, "B S D"], Bool[Array, "B S"]]:
        """Return source positions and a mask of the valid ones, given frames of 10 ms each."""
        mask = jnp.arange(frames_BAC.shape[1])[None] < length_B[:, None]
        x = jnp.where(mask[:, :, None], frames_BAC, 0)[..., None]
        for convolution in self.convolutions:
            length_B = (length_B + 1) // 2
            x = convolution(x)
            mask = jnp.arange(x.shape[1])[None] < length_B[:, None]
            x = jnp.where(mask[:, :, None, None], x, 0)
        return self.project(x.reshape(*x.shape[:2], -1)), mask


class TokenEmbedding(nnx.Module):
    """One table for source tokens, target tokens and the output layer (paper §2.3)."""

    def __init__(self, vocab_size: int, d_model: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.dtype = dtype
        self.d_model = d_model
        self.transposed = False
        init = nnx.initializers.normal(d_model**-0.5)
        self.table_VD = nnx.Param(init(rngs.params(), (vocab_size, d_model)))

    def __call__(self, tokens: Int[AnyArray, "*rest"]) -> Float[Array, "*rest D"]:
        """Return the tokens' embeddings times √D; padding's is zero (as in the code of Table 8)."""
        rows = self.table_VD[...][tokens] * self.d_model**0.5
        return jnp.where((tokens != PAD)[..., None], rows, 0)

    def logits(self, y: Float[Array, "*rest D"]) -> Float[Array, "*rest V"]:
        """Return each token's score: y · tableᵀ."""
        flat = y.reshape(-1, self.d_model).astype(self.dtype)
        table_VD = self.table_VD[...].astype(self.dtype)
        if self.transposed:
            scores = transposed_product(flat, table_VD)
        else:
            scores = jnp.einsum("ND,VD->NV", flat, table_VD, preferred_element_type=jnp.float32)
        return constrain(scores.reshape(*y.shape[:-1], -1), "data rows", None, "vocabulary")
