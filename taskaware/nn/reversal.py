"""Gradient reversal: features that a head cannot answer from."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def reverse_gradient(
    x: Float[Array, "*shape"], rate: Float[Array, ""] | float
) -> Float[Array, "*shape"]:
    """Return x as it is; its gradient is multiplied by -λ.

    Between an encoder and a head, the head learns at its full rate what the encoder unlearns.

    Args:
        x: what the head reads.
        rate: λ, as by ``reversal_rate``; it may change from step to step without recompilation.

    Source: Ganin et al. 2016, section 4.2.
    """
    return x


def _forward(x, rate):
    return reverse_gradient(x, rate), jnp.asarray(rate)  # reversed for second derivatives too


def _backward(rate, gradient):
    return (-rate * gradient).astype(gradient.dtype), jnp.zeros_like(rate)


reverse_gradient.defvjp(_forward, _backward)


def reversal_rate(progress: Float[Array, ""] | float) -> Float[Array, ""]:
    """Return λ = 2 / (1 + e^(-10 p)) - 1: 0 at the start of training, nearly 1 from its half on.

    Args:
        progress: p, the share of training that is done, from 0 to 1.

    Source: Ganin et al. 2016, section 5.2.2.

    Example:
        >>> round(float(reversal_rate(0.1)), 6)
        0.462117
    """
    return jnp.tanh(5 * jnp.asarray(progress, jnp.float32))  # the same function, exact near 0
