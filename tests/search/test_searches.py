import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.table_model import T, V, exhaustive, log_p, padded, ranking, table_model, table_of

from taskaware.dims import EOS, PAD, Cache
from taskaware.search.beam import _best_extensions, beam_search
from taskaware.search.greedy import greedy_search, length_penalty

NOTHING = Cache(None, None)


def searched(table, beams, alpha):
    """What a beam search finds, as NumPy's arrays."""
    return jax.tree.map(np.asarray, _searched(table, beams, alpha))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _searched(table, beams, alpha):
    model = table_model(table, beams)
    return beam_search(*model, len(table), T, beam_size=beams, alpha=alpha)


def greedily_searched(table):
    """What greedy search finds, as NumPy's arrays."""
    return jax.tree.map(np.asarray, _greedily_searched(table))


@jax.jit
def _greedily_searched(table):
    return greedy_search(*table_model(table, 1), len(table), T)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("seed", range(4))
def test_a_beam_that_holds_everything_finds_what_exhaustive_search_finds(seed, alpha):
    table = table_of(seed)
    found = searched(table, V**T, alpha)
    for row in range(2):
        expected = ranking(table, row, alpha)
        assert len(expected) == 121
        assert found.tokens_BWT[row, :121].tolist() == [padded(tokens) for tokens, _ in expected]
        np.testing.assert_allclose(
            found.score_BW[row, :121], [score for _, score in expected], atol=1e-4
        )


def test_where_too_few_have_ended_growing_ones_follow():
    """Two tokens of which one ends; three positions; a beam of four holds all there is."""
    log_p = np.log([0.4, 0.6])  # of the end, and of going on

    def next_logits(tokens_BW, position, cache):
        scores = jnp.full(V, -2e9).at[jnp.array([EOS, 2])].set(jnp.asarray(log_p, jnp.float32))
        return jnp.broadcast_to(scores, (*tokens_BW.shape, V)), cache

    found = beam_search(next_logits, NOTHING, 1, 3, beam_size=4, alpha=0.0)
    assert found.tokens_BWT[0].tolist()[:3] == [[EOS, 0, 0], [2, EOS, 0], [2, 2, EOS]]
    assert found.tokens_BWT[0, 3].tolist() == [2, 2, 2]
    expected = np.log([0.4, 0.24, 0.144, 0.216])
    np.testing.assert_allclose(found.score_BW[0], expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_the_score_is_the_log_probability_of_the_tokens_over_the_penalty(seed):
    table = table_of(seed)
    found = searched(table, 3, 0.6)
    for row in range(2):
        tokens = found.tokens_BWT[row, 0].tolist()
        if EOS in tokens:
            tokens = tokens[: tokens.index(EOS) + 1]
        expected = log_p(table, row, tokens) / length_penalty(len(tokens), 0.6)
        assert float(found.score_BW[row, 0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_a_beam_of_one_is_greedy_search(seed):
    """With α = 0, where a longer hypothesis is never the better one for its length."""
    table = table_of(seed, rows=3)
    wide, one = searched(table, 1, 0.0), greedily_searched(table)
    for row in range(3):
        first = one.tokens_BT[row].tolist()
        # A beam of one also keeps an end that came second: if greedy search was cut, or ended
        # later at a lower probability, that end is the answer.
        if wide.tokens_BWT[row, 0].tolist() != first and EOS in first:
            assert float(wide.score_BW[row, 0]) > float(one.score_B[row])


def test_a_beam_of_one_is_greedy_search_where_ends_are_never_second():
    def next_logits(tokens_BW, position, cache):
        token = (tokens_BW + 2) % V  # 2, then 0, 2, ...; at position 3 the end
        token = jnp.where(position == 3, EOS, token)
        never_ends = jnp.where(position == 3, 0.0, 50.0) * (jnp.arange(V) == EOS)
        return 20.0 * jax.nn.one_hot(token, V) - never_ends[None, None], cache

    wide = beam_search(next_logits, NOTHING, 2, T, beam_size=1, alpha=0.0)
    one = greedy_search(next_logits, NOTHING, 2, T)
    assert one.tokens_BT.tolist() == wide.tokens_BWT[:, 0].tolist() == [[2, 0, 2, EOS, PAD]] * 2
    np.testing.assert_allclose(wide.score_BW[:, 0], one.score_B, atol=1e-5)


def test_greedy_takes_the_likeliest_token_each_time():
    table = table_of(11)
    found = greedily_searched(table)
    for row in range(2):
        before, last, expected = PAD, PAD, []
        for position in range(T):
            token = int(table[row, position, before, last].argmax())
            expected.append(token)
            before, last = last, token
            if token == EOS:
                break
        assert found.tokens_BT[row].tolist() == padded(expected)
        assert float(found.score_B[row]) == pytest.approx(log_p(table, row, expected), abs=1e-4)


def test_no_beam_scores_better_than_exhaustive_search():
    for seed in range(4):
        table = table_of(seed)
        for width in (1, 2, 8):
            found = searched(table, width, 0.6)
            for row in range(2):
                if EOS in found.tokens_BWT[row, 0].tolist():
                    assert float(found.score_BW[row, 0]) <= exhaustive(table, row, 0.6)[1] + 1e-4


def test_a_model_that_never_ends_is_cut_at_the_maximum():
    def next_logits(tokens_BW, position, cache):
        scores = jnp.where(jnp.arange(V) == EOS, -2e9, jnp.arange(V, dtype=jnp.float32))
        return jnp.broadcast_to(scores, (*tokens_BW.shape, V)), cache

    assert greedy_search(next_logits, NOTHING, 2, T).tokens_BT.tolist() == [[V - 1] * T] * 2
    found = beam_search(next_logits, NOTHING, 2, T, beam_size=2, alpha=0.6)
    assert found.tokens_BWT[:, 0].tolist() == [[V - 1] * T] * 2


def test_a_search_stops_when_every_row_has_ended():
    calls = []

    def next_logits(tokens_BW, position, cache):
        jax.debug.callback(lambda p: calls.append(int(p)), position)
        ends = jnp.where(position >= 1, 50.0, -50.0)
        scores = jnp.where(jnp.arange(V) == EOS, ends, 0.0)
        return jnp.broadcast_to(scores, (*tokens_BW.shape, V)), cache

    jax.block_until_ready(greedy_search(next_logits, NOTHING, 2, 20))
    jax.effects_barrier()
    assert sorted(calls) == [0, 1]
    calls.clear()
    jax.block_until_ready(beam_search(next_logits, NOTHING, 2, 20, beam_size=2, alpha=0.6))
    jax.effects_barrier()
    assert max(calls) < 4


def test_length_penalty_is_wu_et_al_s_formula():
    assert length_penalty(1, 0.6) == pytest.approx(1.0)
    assert length_penalty(13, 0.6) == pytest.approx(3.0**0.6)


@pytest.mark.parametrize(("beams", "vocab_size", "count"), [(4, 100, 8), (1, 33, 2), (2, 3, 9)])
def test_the_best_extensions_are_those_of_a_sort_equal_ones_in_order(beams, vocab_size, count):
    score = np.random.default_rng(0).integers(0, 5, (6, beams, vocab_size)).astype(np.float32)
    flat = score.reshape(6, -1)
    order = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    best, beam, token = _best_extensions(jnp.asarray(score), count)
    np.testing.assert_array_equal(best, np.take_along_axis(flat, order, 1))
    np.testing.assert_array_equal(beam, order // vocab_size)
    np.testing.assert_array_equal(token, order % vocab_size)


def test_extensions_that_cannot_be_are_tokens_of_the_vocabulary():
    best, beam, token = _best_extensions(jnp.full((1, 2, 3), -jnp.inf).at[0, 1, 2].set(1.0), 4)
    assert best[0].tolist() == [1.0, *[-np.inf] * 3]
    assert (int(beam[0, 0]), int(token[0, 0])) == (1, 2)
    assert int(beam.max()) < 2
    assert int(token.max()) < 3
