"""Linear layers, and products with transposed kernels for a few rows on a CPU."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float


class Linear(nnx.Linear):
    """``nnx.Linear`` that multiplies matrices, whatever the rank of its input.

    For three-dimensional inputs XLA:CPU transposes a copy to compute the kernel's gradient, which
    made a small model's step 1.5 times slower. The operands of the product are cast to ``dtype``;
    its sums and its result are float32.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: DTypeLike,
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


class TransposedLinear(nnx.Module):
    """A ``Linear`` that stores its kernel transposed: see ``transposed_product``."""

    def __init__(self, linear: Linear):
        assert linear.bias is not None
        self.dtype = linear.dtype
        self.kernel_DF = nnx.Param(linear.kernel[...].T.astype(linear.dtype))
        self.bias_D = nnx.Param(linear.bias[...].astype(linear.dtype))

    def __call__(self, inputs: Float[Array, "*rest F"]) -> Float[Array, "*rest D"]:
        """Return inputs · kernel + bias over the last axis."""
        flat_NF = inputs.reshape(-1, inputs.shape[-1]).astype(self.dtype)
        flat_ND = transposed_product(flat_NF, self.kernel_DF[...]) + self.bias_D[...][None]
        return flat_ND.reshape(*inputs.shape[:-1], -1)


def are_few(rows: int) -> bool:
    """Return whether a CPU multiplies that many rows faster by a transposed kernel."""
    return jax.default_backend() == "cpu" and 3 <= rows <= 64


def transpose_kernels(module: nnx.Module) -> None:
    """Replace every ``Linear`` within a module by a ``TransposedLinear``, in place."""
    for part in [part for _, part in nnx.iter_modules(module)]:
        for name, child in list(vars(part).items()):
            if type(child) is Linear:
                setattr(part, name, TransposedLinear(child))


def transposed_product(
    x_NF: Float[Array, "N F"], kernel_DF: Float[Array, "D F"]
) -> Float[Array, "N D"]:
    """Return x · kernelᵀ, in float32; for a few rows on a CPU as (kernel · xᵀ)ᵀ.

    XLA:CPU packs a product's second operand before it multiplies. Packing a kernel takes longer
    than multiplying it by a few rows, so the rows become the second operand; the barriers keep XLA
    from swapping the two back.
    """
    if not are_few(len(x_NF)):
        return jnp.einsum("NF,DF->ND", x_NF, kernel_DF, preferred_element_type=jnp.float32)
    x_FN = lax.optimization_barrier(x_NF.T)
    y_DN = jnp.einsum("DF,FN->DN", kernel_DF, x_FN, preferred_element_type=jnp.float32)
    return lax.optimization_barrier(y_DN).T
