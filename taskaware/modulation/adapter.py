"""Residual adapters: a small network per task after a layer (Houlsby et al. 2019)."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float


class Adapter(NamedTuple):
    """An adapter's weights, one set per row. Stacked, all have a leading axis of sites L."""

    down_BDR: Float[Array, "*L B D R"]
    down_bias_BR: Float[Array, "*L B R"]
    up_BRD: Float[Array, "*L B R D"]
    up_bias_BD: Float[Array, "*L B D"]

    def at(self, site: int | slice) -> "Adapter":
        """Return one site, or a range of sites, of stacked adapters."""
        return Adapter(*(leaf[site] for leaf in self))


def adapt(x: Float[Array, "B *rest D"], adapter: Adapter) -> Float[Array, "B *rest D"]:
    """Return x + ReLU(x · down + b) · up + c, with weights per row, in x's dtype.

    up = 0 and c = 0 return x bit for bit.

    Example:
        >>> ones = jax.numpy.ones
        >>> weights = Adapter(ones((1, 3, 1)), ones((1, 1)), ones((1, 1, 3)), ones((1, 3)))
        >>> adapt(ones((1, 2, 3)), weights).tolist()
        [[[6.0, 6.0, 6.0], [6.0, 6.0, 6.0]]]
    """
    flat_BSD = x.reshape(x.shape[0], -1, x.shape[-1])
    hidden_BSR = jax.nn.relu(flat_BSD @ adapter.down_BDR + adapter.down_bias_BR[:, None])
    added_BSD = hidden_BSR @ adapter.up_BRD + adapter.up_bias_BD[:, None]
    return (flat_BSD + added_BSD).astype(x.dtype).reshape(x.shape)
