"""FiLM: scale and shift a layer's output, depending on the task (paper eq. 6-7)."""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class TCNParam(nnx.Param):
    """A parameter of the task side, a type of its own so that filters can select it."""


class Modulation(NamedTuple):
    """γ and β, one pair per row. Stacked, both have a leading axis of sites L."""

    gamma_BD: Float[Array, "*L B D"]
    beta_BD: Float[Array, "*L B D"]

    def at(self, site: int | slice) -> "Modulation":
        """Return one site, or a range of sites, of a stacked modulation."""
        return Modulation(self.gamma_BD[site], self.beta_BD[site])


def film(
    x: Float[Array, "B *rest D"], gamma_BD: Float[Array, "B D"], beta_BD: Float[Array, "B D"]
) -> Float[Array, "B *rest D"]:
    """Return γ · x + β, with γ and β per row, in x's dtype (eq. 7).

    γ = 1 and β = 0 return x bit for bit.

    Example:
        >>> x = jnp.ones((1, 2, 3))
        >>> film(x, jnp.full((1, 3), 2.0), jnp.full((1, 3), 0.5)).tolist()
        [[[2.5, 2.5, 2.5], [2.5, 2.5, 2.5]]]
    """
    shape = (x.shape[0], *[1] * (x.ndim - 2), x.shape[-1])
    return (gamma_BD.reshape(shape) * x + beta_BD.reshape(shape)).astype(x.dtype)


class FiLM(nnx.Module):
    """A layer that scales and shifts features by a linear function of a condition.

    It starts as the identity, so it can be added to a trained model.

    Args:
        d_condition: width Z of the condition: a one-hot task id, a sentence embedding, …
        d_model: width D of the features.

    Example:
        >>> import jax
        >>> layer = FiLM(3, 8, rngs=nnx.Rngs(0))
        >>> x = jnp.ones((2, 5, 8))
        >>> bool((layer(x, jax.nn.one_hot(jnp.array([0, 2]), 3)) == x).all())
        True
    """

    def __init__(self, d_condition: int, d_model: int, *, rngs: nnx.Rngs):
        self.d_model = d_model
        self.kernel_ZD = TCNParam(jnp.zeros((d_condition, 2 * d_model)))
        self.bias_D = TCNParam(jnp.zeros(2 * d_model))

    def __call__(
        self, x: Float[Array, "B *rest D"], condition_BZ: Float[Array, "B Z"]
    ) -> Float[Array, "B *rest D"]:
        """Return (1 + g) · x + β with [g : β] = condition · kernel + bias."""
        t = condition_BZ @ self.kernel_ZD[...] + self.bias_D[...][None]
        return film(x, 1 + t[:, : self.d_model], t[:, self.d_model :])
