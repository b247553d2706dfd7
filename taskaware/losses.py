"""Cross-entropy with label smoothing over the shared vocabulary, and what the stream looks like."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


def smoothed_cross_entropy(
    logits_BTV: Float[Array, "B T V"], target_BT: Int[Array, "B T"], smoothing: float
) -> Float[Array, "B T"]:
    """Return each token's cross-entropy against (1 - ε) · one-hot + ε / V.

    In closed form, lse(z) - (1 - ε) z_y - ε mean(z), so that no one-hot matrix is made. Nothing
    is summed and padding is not left out: the caller has the mask.

    Source: Szegedy et al. 2016; ``optax.smooth_labels`` has the same target.
    """
    logits_BTV = logits_BTV.astype(jnp.float32)
    chosen_BT = jnp.take_along_axis(logits_BTV, target_BT[..., None], axis=-1)[..., 0]
    total_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
    return total_BT - (1 - smoothing) * chosen_BT - smoothing * logits_BTV.mean(-1)


def stream_health(
    x_BTD: Float[Array, "B T D"], mask_BT: Bool[Array, "B T"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the stream's root mean square and the participation ratio of its features.

    With one γ on every pre-norm block the stream compounds as γ^L, which the final norm hides
    from the loss: rms explodes, or a few features take all the energy. The ratio is 1 when all
    D features carry the same energy and 1/D when one carries it all.
    """
    energy_D = jnp.where(mask_BT[..., None], x_BTD**2, 0).sum((0, 1)) / mask_BT.sum()
    participation = energy_D.sum() ** 2 / (x_BTD.shape[-1] * (energy_D**2).sum())
    return jnp.sqrt(energy_D.mean()), participation
