"""Fold one task's γ and β into the weights before them: FiLM that costs nothing at run time.

γ · (x K + b) + β = x (K γ) + (γ b + β): exact where γ and β follow an affine map or precede
one, and nowhere else.
"""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from taskaware.errors import UsageError
from taskaware.modulation.affine import Modulation
from taskaware.modulation.grafting import modulation_by_site, ungraft
from taskaware.nn.layers import FeedForward, MultiHeadAttention
from taskaware.nn.linear import Linear

M = TypeVar("M", bound=nnx.Module)

_AFFINE = {
    nnx.Linear: "kernel",
    nnx.LinearGeneral: "kernel",
    nnx.Conv: "kernel",
    nnx.ConvTranspose: "kernel",
    nnx.LayerNorm: "scale",
    nnx.RMSNorm: "scale",
    Linear: "kernel",
}
"""Layers that end in · weight + bias, and their name for the weight. Not their subclasses, which
may do more; not ``nnx.Embed``, whose table is often the output layer's too.
"""
_ENDS_IN = {nnx.MultiHeadAttention: "out", MultiHeadAttention: "out", FeedForward: "down"}
"""Layers whose last step is another layer, and their name for it."""


def fold(model: M, modulation: Modulation) -> M:
    """Return an ungrafted copy of a grafted model that does for one task what the bound one does.

    Args:
        model: what ``graft`` returned. Each chosen module is a Linear, LinearGeneral, Conv,
            ConvTranspose, LayerNorm, RMSNorm or attention of Flax.
        modulation: of one row: (1, D) for all sites, or (L, 1, D).

    Raises:
        UsageError: a module does not end in an affine map, or has no bias to take β.

    Example:
        >>> from taskaware.modulation.grafting import graft
        >>> plain = nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
        >>> model = graft(plain, where=r"layers/0")
        >>> twice = fold(model, Modulation(jnp.full((1, 3), 2.0), jnp.ones((1, 3))))
        >>> x = jnp.ones((4, 2))
        >>> bool((twice(x) == 2 * plain(x) + 1).all())
        True
    """
    plain = ungraft(model)
    modules = {"/".join(map(str, path)): part for path, part in nnx.iter_modules(plain)}
    for path, (output, site_modulation) in modulation_by_site(model, modulation).items():
        module = modules[path]
        while type(module) in _ENDS_IN:
            module = getattr(module, _ENDS_IN[type(module)])
        if type(module) not in _AFFINE or output is not None:
            raise UsageError(
                f"fold: {path!r}: expected a layer that ends in an affine map, found "
                f"{type(modules[path]).__name__}; γ and β cannot be folded into it"
            )
        if not isinstance(site_modulation, Modulation):
            raise UsageError("fold: an adapter is not affine, so no weights can take it in")
        gamma, beta = site_modulation
        if gamma.shape[-2] != 1:
            raise UsageError(f"fold: expected γ and β of one row, found {gamma.shape[-2]}")
        fold_output(module, gamma[..., 0, :], beta[..., 0, :], path)
    return plain


def fold_output(
    layer: Any, gamma_D: Float[Array, "*L D"], beta_D: Float[Array, "*L D"], where: str = ""
) -> None:
    """Change an affine layer's weights so that it returns γ · its output + β.

    Its Variables are replaced and not written to, so a layer that shares them does not change.

    Args:
        layer: one of the types above; for a stack of layers, γ and β have a leading axis of layers.
        gamma_D: γ, the scale.
        beta_D: β, the shift.
        where: the layer's path, for messages.

    Raises:
        UsageError: it has no bias, or no scale, and needs one.
    """
    weight = _AFFINE[type(layer)]
    for name, change in ((weight, lambda w: w * _fit(gamma_D, w)), ("bias", None)):
        variable = getattr(layer, name, None)
        if variable is None:
            identity = (gamma_D == 1).all() if name == weight else (beta_D == 0).all()
            if identity:
                continue
            raise UsageError(
                f"fold: {where!r}: {type(layer).__name__} has no {name} to take "
                f"{'γ' if name == weight else 'β'}; modulate a layer that has one"
            )
        value = variable.get_value()
        new = change(value) if change else gamma_D * value + beta_D
        setattr(layer, name, variable.replace(new.astype(value.dtype)))


def fold_input(layer: Linear, gamma_D: Float[Array, " D"], beta_D: Float[Array, " D"]) -> None:
    """Change a linear layer's weights so that it maps x as it mapped γ · x + β before."""
    assert layer.bias is not None
    kernel = layer.kernel[...]
    layer.bias[...] = layer.bias[...] + beta_D @ kernel
    layer.kernel[...] = gamma_D[:, None] * kernel


def _fit(gamma_D: Float[Array, "*L D"], weight: jax.Array) -> jax.Array:
    """Reshape γ to broadcast against a weight: layers first, features last."""
    middle = (1,) * (weight.ndim - gamma_D.ndim)
    return jnp.reshape(gamma_D, (*gamma_D.shape[:-1], *middle, gamma_D.shape[-1]))
