"""A decoder that is a table, small enough to try all of its outputs."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from taskaware.dims import EOS, PAD, Cache
from taskaware.search.greedy import length_penalty

V, T = 4, 5


def table_model(seed, rows=2):
    """A next_logits whose scores depend on row, position and the two tokens before.

    Its cache counts calls and remembers the token before the last, so a search that mixes up
    beams gives other scores.
    """
    table = 2 * jax.random.normal(jax.random.key(seed), (rows, T, V, V, V))

    def next_logits(tokens_BW, position, cache):
        row = jnp.arange(rows)[:, None]
        logits = table[row, position, cache.beams["before"], tokens_BW]
        return logits, Cache({"before": tokens_BW}, None)

    def start(beams):
        return Cache({"before": jnp.zeros((rows, beams), jnp.int32)}, None)

    return np.asarray(table, np.float64), next_logits, start


def log_p(table, row, tokens):
    """Log probability of a token sequence, by the table alone."""
    total, before, last = 0.0, PAD, PAD
    for position, token in enumerate(tokens):
        score = table[row, position, before, last]
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
