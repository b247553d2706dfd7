"""CTC in searches: its best alignment, its best labels, and its votes on a decoder's tokens.

The blank is token 0, which stands for padding elsewhere: no hypothesis contains it. CTC ends with
its input, so its probability of EOS means nothing, and "ends here" is scored in its place.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from taskaware.dims import EOS, PAD, Cache
from taskaware.models.heads.decoder import NextLogits
from taskaware.nn.layers import NEVER
from taskaware.search.beam import NBest, beam_search
from taskaware.search.greedy import Hypotheses

_ZERO = -1e30
"""The logarithm of 0: finite, so that differences of two are no NaN."""
_LEAST = -60.0
"""The least log probability of a label at a position. With V tokens, raising all that are below
changes sums by V e^-60, far less than float32 holds; and no product of two scaled numbers that
matters vanishes, since float32 reaches down to e^-87."""
_IMPOSSIBLE = NEVER / 10
"""The score of what no alignment gives: above NEVER, which marks places where no hypothesis is."""


class _Prefix(NamedTuple):
    """Of each beam's tokens but the last: log probabilities of their alignments."""

    in_label: Float[Array, "B W ends"]  # those of the first 0, 1, ... S positions that end in one
    in_blank: Float[Array, "B W ends"]
    psi_BW: Float[Array, "B W"]  # of all label sequences that begin with these tokens
    last_BW: Int[Array, "B W"]  # the last of these tokens; PAD if there is none


def ctc_greedy_search(
    log_p_BSV: Float[Array, "B S V"], mask_BS: Bool[Array, "B S"], max_length: int
) -> Hypotheses:
    """Return the labels of each row's likeliest alignment: repeats merged, blanks dropped.

    That need not be the likeliest labels, which ``ctc_beam_search`` looks for.

    Args:
        log_p_BSV: log probabilities of every token at every source position.
        mask_BS: which positions count; those that do stand first.
        max_length: T; longer labels are cut.

    Returns:
        Tokens, ended by EOS where it fits, and the alignment's log probability.
    """
    log_p_BSV = log_p_BSV.astype(jnp.float32).at[..., EOS].set(-jnp.inf)
    path_BS = jnp.where(mask_BS, log_p_BSV.argmax(-1), PAD)
    before_BS = jnp.pad(path_BS, ((0, 0), (1, 0)), constant_values=PAD)[:, :-1]
    is_label_BS = (path_BS != PAD) & (path_BS != before_BS)
    row_B1 = jnp.arange(len(path_BS))[:, None]
    place_BS = jnp.where(is_label_BS, is_label_BS.cumsum(-1) - 1, max_length)  # beyond: dropped
    tokens_BT = jnp.full((len(path_BS), max_length), PAD, jnp.int32)
    tokens_BT = tokens_BT.at[row_B1, place_BS].set(path_BS.astype(jnp.int32), mode="drop")
    tokens_BT = tokens_BT.at[row_B1[:, 0], is_label_BS.sum(-1)].set(EOS, mode="drop")
    return Hypotheses(tokens_BT, jnp.where(mask_BS, log_p_BSV.max(-1), 0).sum(-1))


def ctc_beam_search(
    log_p_BSV: Float[Array, "B S V"],
    mask_BS: Bool[Array, "B S"],
    max_length: int,
    *,
    beam_size: int,
) -> NBest:
    """Return the W likeliest label sequences per row that a beam over their prefixes finds.

    Equal prefixes are one from the start, and each is scored by all its alignments, so the score
    of an ended hypothesis is exactly log P(labels).

    Args:
        log_p_BSV: log probabilities of every token at every source position.
        mask_BS: which positions count.
        max_length: T; S + 1 is enough for every label sequence and its EOS.
        beam_size: W.
    """
    return beam_search(
        *prefix_scores(log_p_BSV, mask_BS, beam_size),
        len(log_p_BSV),
        max_length,
        beam_size=beam_size,
        alpha=0.0,
        normalized=True,
    )


def prefix_scores(
    log_p_BSV: Float[Array, "B S V"], mask_BS: Bool[Array, "B S"], num_beams: int
) -> tuple[NextLogits, Cache]:
    """Return CTC as a model that scores one token at a time, for searches with ``normalized``.

    A token c after the labels g scores log ψ(g c) - log ψ(g), where ψ(g) is the probability of all
    label sequences that begin with g, and EOS log P(g) - log ψ(g): the sum over a hypothesis is
    its log P. All V tokens are scored at every step, by one product of positions by vocabulary.
    A token that no alignment has room for scores -1e8.

    Args:
        log_p_BSV: log probabilities of every token at every source position; those below -60
            count as -60.
        mask_BS: which positions count; any may be masked.
        num_beams: W.

    Source: Watanabe et al. 2017, section III-C; ESPnet's ``CTCPrefixScore``, which gives the same
    scores, there for the decoder's best tokens alone.
    """
    log_p_BSV = log_p_BSV.astype(jnp.float32)
    p_BSV = jnp.where(mask_BS[..., None], jnp.exp(jnp.maximum(log_p_BSV, _LEAST)), 0.0)
    p_BSV = p_BSV.at[..., PAD].set(0.0)
    # At a masked position nothing happens: alignments stay as they are.
    blank_BS = jnp.where(mask_BS, jnp.maximum(log_p_BSV[..., PAD], _LEAST), 0.0)
    shape = (len(log_p_BSV), num_beams)
    nothing_yet = jnp.pad(blank_BS.cumsum(-1), ((0, 0), (1, 0)))[:, None].repeat(num_beams, 1)
    start = _Prefix(
        jnp.full_like(nothing_yet, _ZERO),
        nothing_yet,
        jnp.zeros(shape),
        jnp.full(shape, PAD, jnp.int32),
    )

    def before(in_prefix: Float[Array, "B W ends"]) -> Float[Array, "B W S"]:
        """Return the alignments before each position that counts."""
        return jnp.where(mask_BS[:, None], in_prefix[..., :-1], _ZERO)

    def starting(prefix: _Prefix, tokens_BW: Int[Array, "B W"]) -> tuple[Array, Array]:
        """Return the alignments in which each position begins one more label, and its p."""
        p_BSW = jnp.take_along_axis(p_BSV, tokens_BW[:, None], axis=-1)
        p_BWS = jnp.maximum(jnp.log(p_BSW.swapaxes(1, 2)), _ZERO)
        # What repeats the last label is one more only after a blank.
        repeats_BW1 = (tokens_BW == prefix.last_BW)[..., None]
        in_label = jnp.where(repeats_BW1, _ZERO, prefix.in_label)
        return before(jnp.logaddexp(in_label, prefix.in_blank)) + p_BWS, p_BWS

    def extended(prefix: _Prefix, tokens_BW: Int[Array, "B W"]) -> _Prefix:
        """Return the prefixes with one more label each."""
        starts_BWS, p_BWS = starting(prefix, tokens_BW)
        in_label = _over_positions(jnp.where(mask_BS[:, None], p_BWS, 0.0), starts_BWS)
        stays_BWS = jnp.broadcast_to(blank_BS[:, None], starts_BWS.shape)
        in_blank = _over_positions(stays_BWS, before(in_label) + stays_BWS)
        return _Prefix(in_label, in_blank, _log_sum(starts_BWS), tokens_BW)

    def next_scores(
        tokens_BW: Int[Array, "B W"], position: Int[Array, ""], cache: Cache
    ) -> tuple[Float[Array, "B W V"], Cache]:
        longer = extended(cache.beams, tokens_BW)
        prefix = jax.tree.map(lambda a, b: jnp.where(position == 0, a, b), cache.beams, longer)
        in_prefix = jnp.logaddexp(prefix.in_label, prefix.in_blank)
        phi_BWS = before(in_prefix)
        most_BW1 = phi_BWS.max(-1, keepdims=True)
        sum_BWV = jnp.einsum(
            "BWS,BSV->BWV", jnp.exp(phi_BWS - most_BW1), p_BSV, precision=lax.Precision.HIGHEST
        )
        psi_BWV = jnp.maximum(most_BW1 + jnp.log(sum_BWV), _ZERO)
        # The product is wrong for two tokens: the last label once more, and the end.
        again_BW = _log_sum(starting(prefix, prefix.last_BW)[0])
        token_V = jnp.arange(p_BSV.shape[-1])[None, None]
        psi_BWV = jnp.where(token_V == prefix.last_BW[..., None], again_BW[..., None], psi_BWV)
        psi_BWV = jnp.where(token_V == EOS, in_prefix[..., -1:], psi_BWV)
        # None is above 0 but by rounding, and searches count on that.
        score_BWV = jnp.clip(psi_BWV - prefix.psi_BW[..., None], _IMPOSSIBLE, 0.0)
        return score_BWV, cache._replace(beams=prefix)

    return next_scores, Cache(start, None)


def joint_scores(
    decoder: tuple[NextLogits, Cache], ctc: tuple[NextLogits, Cache], weight: float
) -> tuple[NextLogits, Cache]:
    """Return (1 - μ) log p_decoder + μ log p_CTC as one model, for searches with ``normalized``.

    Args:
        decoder: what ``Seq2Seq.start_decoding`` returns.
        ctc: what ``prefix_scores`` returns for as many beams.
        weight: μ, from 0 to 1.

    Source: Watanabe et al. 2017, equation 15, as ESPnet has it.
    """
    next_logits, decoder_cache = decoder
    next_scores, ctc_cache = ctc

    def next_joint(
        tokens_BW: Int[Array, "B W"], position: Int[Array, ""], cache: Cache
    ) -> tuple[Float[Array, "B W V"], Cache]:
        parts = zip(cache.beams, cache.rows, strict=True)
        decoder_cache, ctc_cache = (Cache(beams, rows) for beams, rows in parts)
        logits_BWV, decoder_cache = next_logits(tokens_BW, position, decoder_cache)
        score_BWV, ctc_cache = next_scores(tokens_BW, position, ctc_cache)
        joint_BWV = (1 - weight) * jax.nn.log_softmax(logits_BWV) + weight * score_BWV
        return joint_BWV, _side_by_side(decoder_cache, ctc_cache)

    return next_joint, _side_by_side(decoder_cache, ctc_cache)


def _side_by_side(decoder: Cache, ctc: Cache) -> Cache:
    return Cache((decoder.beams, ctc.beams), (decoder.rows, ctc.rows))


def _log_sum(starts_BWS: Float[Array, "B W S"]) -> Float[Array, "B W"]:
    return jnp.maximum(jax.nn.logsumexp(starts_BWS, axis=-1), _ZERO)


def _over_positions(
    stays_BWS: Float[Array, "B W S"], starts_BWS: Float[Array, "B W S"]
) -> Float[Array, "B W ends"]:
    """Return log x of x_t = stay_t x_(t-1) + start_t, from x_0 = 0 to x_S.

    In about log S steps; S in a row would take a while on an accelerator.
    """

    def joined(first, then):
        return first[0] + then[0], jnp.logaddexp(first[1] + then[0], then[1])

    _, x = lax.associative_scan(joined, (stays_BWS, starts_BWS), axis=-1)
    return jnp.pad(jnp.maximum(x, _ZERO), ((0, 0), (0, 0), (1, 0)), constant_values=_ZERO)
