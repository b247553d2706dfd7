"""A decoder that is a table, small enough to try all of its outputs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from taskaware.dims import EOS, PAD, Cache
from taskaware.search.greedy import length_penalty

V, T = 4, 5


def table_of(seed, rows=2):
    """Scores by row, position and the two tokens before."""
    return np.asarray(2 * jax.random.normal(jax.random.key(seed), (rows, T, V, V, V)))


def table_model(table, beams):
    """A next_logits that looks up such scores, and its first cache.

    The cache remembers the token before the last, so a search that mixes up beams gives other
    scores.
    """
    table, row = jnp.asarray(table), jnp.arange(len(table))[:, None]

    def next_logits(tokens_BW, position, cache):
        logits = table[row, position, cache.beams["before"], tokens_BW]
        return logits, Cache({"before": tokens_BW}, None)

    return next_logits, Cache({"before": jnp.zeros((len(table), beams), jnp.int32)}, None)


def log_p(table, row, tokens):
    """Log probability of a token sequence, by the table alone."""
    total, before, last = 0.0, PAD, PAD
    for position, token in enumerate(tokens):
        score = table[row, position, before, last].astype(np.float64)
        total += score[token] - np.log(np.exp(score).sum())
        before, last = last, token
    return total


def every_ended_sequence():
    for length in range(T):
        for head in itertools.product([t for t in range(V) if t != EOS], repeat=length):
            yield (*head, EOS)


def ranking(table, row, alpha):
    """All ended sequences of at most T tokens with their scores, the best first."""
    score = {
        s: log_p(table, row, s) / length_penalty(len(s), alpha) for s in every_ended_sequence()
    }
    return sorted(score.items(), key=lambda item: -item[1])


def exhaustive(table, row, alpha):
    """The best of them."""
    tokens, score = ranking(table, row, alpha)[0]
    return list(tokens), score


def padded(tokens):
    return [*tokens] + [PAD] * (T - len(tokens))
