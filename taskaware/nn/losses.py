"""Cross-entropy with label smoothing, CTC, and statistics of the residual stream."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from taskaware.dims import EOS, PAD, AnyArray


def smoothed_cross_entropy(
    logits_BTV: Float[Array, "B T V"], target_BT: Int[Array, "B T"], smoothing: float
) -> Float[Array, "B T"]:
    """Return each token's cross-entropy against (1 - ε) · one-hot + ε / V.

    In closed form, lse(z) - (1 - ε) z_y - ε mean(z), so that no one-hot matrix is made. It is
    neither reduced nor masked: the caller does both.

    Source: Szegedy et al. 2016; ``optax.smooth_labels`` has the same target.
    """
    logits_BTV = logits_BTV.astype(jnp.float32)
    chosen_BT = jnp.take_along_axis(logits_BTV, target_BT[..., None], axis=-1)[..., 0]
    total_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
    return total_BT - (1 - smoothing) * chosen_BT - smoothing * logits_BTV.mean(-1)


def binary_cross_entropy(
    logits: Float[Array, "*shape"], holds: Bool[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Return each answer's cross-entropy, where the logit is of "holds" against "does not"."""
    return optax.sigmoid_binary_cross_entropy(logits, holds.astype(jnp.float32))


def cross_entropy_of_stream(
    logits: Callable[[Float[Array, "B T D"]], Float[Array, "B T V"]],
    y_BTD: Float[Array, "B T D"],
    target_BT: Int[Array, "B T"],
    smoothing: float,
    most: int = 2**27,
) -> Float[Array, "B T"]:
    """Return ``smoothed_cross_entropy`` of logits that need not fit into memory.

    Where there are more than ``most`` logits, a few positions of every row are scored at a time,
    and once more for the gradient, so that no more than that many are in memory.

    Args:
        logits: maps positions to scores, each position independently.
        y_BTD: the output stream, before the scores.
        target_BT: as in ``smoothed_cross_entropy``.
        smoothing: as in ``smoothed_cross_entropy``.
        most: how many logits are computed at once; by default 512 MiB of them.
    """

    def loss(y_BTD, target_BT):
        return smoothed_cross_entropy(logits(y_BTD), target_BT, smoothing)

    scored = math.prod(jax.eval_shape(logits, y_BTD).shape)
    length = target_BT.shape[1]
    width = max(1, length * most // scored)
    if width >= length:
        return loss(y_BTD, target_BT)
    parts = -(-length // width)
    padding = (0, 0), (0, parts * width - length)
    y_BTD, target_BT = jnp.pad(y_BTD, (*padding, (0, 0))), jnp.pad(target_BT, padding)
    y_PBTD = jnp.moveaxis(y_BTD.reshape(len(y_BTD), parts, width, -1), 1, 0)
    target_PBT = jnp.moveaxis(target_BT.reshape(len(target_BT), parts, width), 1, 0)
    loss_PBT = lax.map(lambda part: jax.checkpoint(loss)(*part), (y_PBTD, target_PBT))
    return jnp.moveaxis(loss_PBT, 0, 1).reshape(len(y_BTD), -1)[:, :length]


def ctc_loss(
    logits_BSV: Float[Array, "B S V"], mask_BS: Bool[Array, "B S"], label_BT: Int[Array, "B T"]
) -> tuple[Float[Array, " B"], Bool[Array, " B"]]:
    """Return each row's -log P(labels), the sum over all alignments, and which rows have one.

    The blank is token 0. Rows whose labels need more positions than they have, and rows without
    labels, are not judged: their loss and gradient are exactly 0. Losses are computed in float32
    and not divided by any length.

    Args:
        logits_BSV: scores of every token at every source position, not normalized.
        mask_BS: which positions count; any may be masked.
        label_BT: tokens without EOS (see ``ctc_labels``), then padding.

    Returns:
        Losses in nats, and True for the rows that are judged.

    Source: Graves et al. 2006; ``optax.ctc_loss``, which gives infeasible rows a loss of about
    1e5 and a gradient.
    """
    # Every alignment takes one logit per position. Normalizing over the blank and the row's own
    # labels alone changes all alignments by the same factor, which is put right below, and spares
    # optax' one-hot matrix of labels by vocabulary.
    columns = jnp.pad(label_BT, ((0, 0), (1, 0)), constant_values=PAD)
    near = jnp.take_along_axis(logits_BSV, columns[:, None], axis=-1).astype(jnp.float32)
    place_BT = (label_BT[:, :, None] == columns[:, None]).argmax(-1)  # equal labels share a place
    loss_B = optax.ctc_loss(
        near,
        (~mask_BS).astype(jnp.float32),
        place_BT,
        (label_BT == PAD).astype(jnp.float32),
        blank_id=PAD,
        log_epsilon=-1e30,  # a loss may exceed optax' 1e5
    )
    total_BS = jax.nn.logsumexp(logits_BSV.astype(jnp.float32), axis=-1)
    beyond_BS = total_BS - jax.nn.logsumexp(near, axis=-1)
    loss_B += jnp.where(mask_BS, beyond_BS, 0).sum(-1)
    judged_B = (mask_BS.sum(-1) >= needed_positions(label_BT)) & (label_BT != PAD).any(-1)
    return jnp.where(judged_B, loss_B, 0), judged_B


def ctc_labels(token_BT: Int[Array, "B T"]) -> Int[Array, "B T"]:
    """Return the labels of CTC for targets that EOS ends: CTC ends with its input, without one."""
    return jnp.where(token_BT == EOS, PAD, token_BT)


def needed_positions(tokens: Int[AnyArray, "*rest T"]) -> Int[AnyArray, "*rest"]:
    """Return how many source positions CTC needs for sequences: labels and adjacent repeats.

    Equal neighbors need a blank between them. EOS and padding at the end need nothing. NumPy in,
    NumPy out.

    Example:
        >>> import numpy as np
        >>> int(needed_positions(np.array([5, 7, 7, 7, 1, 0])))
        6
    """
    is_label = (tokens != EOS) & (tokens != PAD)
    repeats = is_label[..., 1:] & (tokens[..., 1:] == tokens[..., :-1])
    return is_label.sum(-1) + repeats.sum(-1)


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
