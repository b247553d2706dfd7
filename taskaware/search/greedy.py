"""Greedy search, and the types and functions that every search shares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from taskaware.dims import EOS, PAD, Cache
from taskaware.models.heads.decoder import NextLogits


class Hypotheses(NamedTuple):
    """One token sequence per row, ended by EOS where it fits, then padding, and its score."""

    tokens_BT: Int[Array, "B T"]
    score_B: Float[Array, " B"]


def length_penalty(length: Array | int, alpha: float) -> Array | float:
    """Return ((5 + length) / 6)^α, which divides a hypothesis' log probability (Wu et al. 2016).

    Example:
        >>> length_penalty(7, 1.0)
        2.0
    """
    return ((5.0 + length) / 6.0) ** alpha


def greedy_search(
    next_logits: NextLogits,
    cache: Cache,
    num_rows: int,
    max_length: int,
    *,
    normalized: bool = False,
) -> Hypotheses:
    """Take the likeliest token at each position until every row has ended.

    Args:
        next_logits: the model, one position at a time.
        cache: its state before the first token, for one beam.
        num_rows: B.
        max_length: T; a row that has not ended by then is cut.
        normalized: whether the model returns scores that are added up as they are, as log
            probabilities and ``joint_scores`` are; otherwise they are normalized first.

    Returns:
        Tokens, and the sum of their log probabilities (or scores).
    """

    def unfinished(state):
        position, _, _, done_B, _ = state
        return (position < max_length) & ~done_B.all()

    def extend(state):
        position, tokens_BT, score_B, done_B, cache = state
        logits_BWV, cache = next_logits(token_at(tokens_BT, position)[:, None], position, cache)
        score_BV = logits_BWV[:, 0] if normalized else jax.nn.log_softmax(logits_BWV[:, 0])
        best_B = score_BV.max(-1)
        token_B = jnp.where(done_B, PAD, first_true(~(score_BV < best_B[:, None])))
        score_B = score_B + jnp.where(done_B, 0, best_B)
        return (
            position + 1,
            tokens_BT.at[:, position].set(token_B),
            score_B,
            done_B | (token_B == EOS),
            cache,
        )

    tokens_BT = jnp.full((num_rows, max_length), PAD, jnp.int32)
    start = (jnp.int32(0), tokens_BT, jnp.zeros(num_rows), jnp.zeros(num_rows, bool), cache)
    _, tokens_BT, score_B, _, _ = lax.while_loop(unfinished, extend, start)
    return Hypotheses(tokens_BT, score_B)


def first_true(holds_BV: Bool[Array, "B V"]) -> Int[Array, " B"]:
    """Return each row's first True, or its last position: several times argmax's speed on CPUs."""
    width = holds_BV.shape[-1]
    return jnp.where(holds_BV, jnp.arange(width, dtype=jnp.int32), width - 1).min(-1)


def token_at(tokens: Int[Array, "*rest T"], position: Int[Array, ""]) -> Int[Array, "*rest"]:
    """Return the token before ``position``, or PAD at the start."""
    before = lax.dynamic_index_in_dim(tokens, jnp.maximum(position - 1, 0), -1, keepdims=False)
    return jnp.where(position == 0, PAD, before)
