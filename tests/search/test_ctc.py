"""CTC searches; oracles: every alignment one by one, and the textbook's recursions in float64."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import alignments
from support.table_model import T, V, log_p, padded, table_model, table_of

from taskaware.dims import EOS, PAD
from taskaware.search.beam import beam_search
from taskaware.search.ctc import (
    ctc_beam_search,
    ctc_greedy_search,
    joint_scores,
    prefix_scores,
)
from taskaware.search.greedy import greedy_search, length_penalty

S = 5
A, B = 2, 3  # the labels of a vocabulary of 4


def speech(seed, rows=2, positions=S, vocab_size=V, scale=2.0):
    """Log probabilities of random scores."""
    scores = scale * jax.random.normal(jax.random.key(seed), (rows, positions, vocab_size))
    return jax.nn.log_softmax(scores)


def all_of(log_p_BSV):
    return jnp.ones(log_p_BSV.shape[:2], bool)


def hand_made(*positions):
    """One row: each position's probabilities of the blank and of A."""
    p = np.full((1, len(positions), V), 1e-30)
    p[0, :, [PAD, A]] = np.transpose(positions)
    return jnp.log(jnp.asarray(p, jnp.float32))


def scores_after(log_p_BSV, mask_BS, prefixes):
    """The last scores of a walk along some prefixes (one per beam, equally long), and their sum."""
    next_scores, cache = prefix_scores(log_p_BSV, mask_BS, len(prefixes))
    next_scores = jax.jit(next_scores)
    tokens_WT = jnp.asarray(prefixes, jnp.int32).reshape(len(prefixes), -1)
    before = jnp.full((len(log_p_BSV), len(prefixes)), PAD, jnp.int32)
    total_BW = np.zeros(before.shape)
    for position in range(tokens_WT.shape[1] + 1):
        score_BWV, cache = next_scores(before, jnp.int32(position), cache)
        if position < tokens_WT.shape[1]:
            before = jnp.broadcast_to(tokens_WT[:, position], before.shape)
            total_BW += np.take_along_axis(np.asarray(score_BWV), before[..., None], -1)[..., 0]
    return np.asarray(score_BWV), total_BW


@functools.cache
def sequences(seed, row, positions):
    """Every label sequence of a row of ``speech(seed)`` and its probability."""
    valid = np.asarray(speech(seed)[row, :positions], np.float64)
    return alignments.label_probabilities(valid)


@pytest.mark.parametrize("length", range(5))
def test_every_prefix_has_the_probability_of_all_sequences_that_begin_with_it(length):
    log_p_BSV, positions = speech(0), (5, 3)
    mask_BS = jnp.arange(S)[None] < jnp.array(positions)[:, None]
    prefixes = list(itertools.product((A, B), repeat=length))
    score_BWV, total_BW = scores_after(log_p_BSV, mask_BS, prefixes)
    for row, (beam, g) in itertools.product(range(2), enumerate(prefixes)):
        p = sequences(0, row, positions[row])
        psi = sum(p[s] for s in p if s[:length] == g)
        if psi == 0:  # no room for so many labels
            assert total_BW[row, beam] < -1e7
            continue
        assert total_BW[row, beam] == pytest.approx(np.log(psi), abs=1e-4)
        for c in (EOS, A, B):
            part = [p[s] for s in p if (s == g if c == EOS else s[: length + 1] == (*g, c))]
            if sum(part) == 0:
                assert score_BWV[row, beam, c] < -1e7
            else:
                expected = np.log(sum(part) / psi)
                assert score_BWV[row, beam, c] == pytest.approx(expected, abs=1e-4)
        assert score_BWV[row, beam, PAD] < -1e7


def peaked(rows, positions, vocab_size, scale):
    """Long utterances: what is said stands out at every fourth position, each word twice."""
    keys = jax.random.split(jax.random.key(5), 2)
    scores = scale * jax.random.normal(keys[0], (rows, positions, vocab_size))
    said = jax.random.randint(keys[1], (rows, positions // 4), 2, vocab_size).repeat(2, 1)
    said = said[:, : positions // 4]
    place = 1 + 4 * jnp.arange(positions // 4)
    scores = scores.at[:, :, PAD].add(10.0)
    row = jnp.arange(rows)[:, None]
    return jax.nn.log_softmax(scores.at[row, place[None], said].add(18.0)), said


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("length", [0, 1, 8, 40])
def test_400_positions_and_8_000_tokens_score_as_in_float64(scale, length):
    log_p_BSV, said = peaked(2, 400, 8000, scale)
    lengths = (400, 350)
    mask_BS = jnp.arange(400)[None] < jnp.array(lengths)[:, None]
    right = [int(token) for token in said[0, :length]]
    wrong = [7, 7, *right][:length]
    score_BWV, total_BW = scores_after(log_p_BSV, mask_BS, [right, wrong])
    for row, (beam, g) in itertools.product(range(2), enumerate((right, wrong))):
        valid = np.asarray(log_p_BSV[row, : lengths[row]], np.float64)
        psi_V, whole, psi = alignments.prefix_scores(np.maximum(valid, -60), g)
        psi_V[EOS] = whole
        # A float32 holds numbers of some thousands to 2e-4, and 40 tokens are as many roundings.
        np.testing.assert_allclose(score_BWV[row, beam, 1:], psi_V[1:] - psi, atol=5e-3)
        assert total_BW[row, beam] == pytest.approx(psi, abs=5e-3)


@pytest.mark.parametrize("scale", [100.0, 1e4, 1e8])
def test_scores_of_any_size_give_finite_scores_that_never_rise(scale):
    log_p_BSV = speech(3, positions=60, scale=scale)
    for g in ([], [A], [A, A, B, A], [B] * 40):
        score_BWV, _ = scores_after(log_p_BSV, all_of(log_p_BSV), [g])
        assert np.isfinite(score_BWV).all()
        assert score_BWV.max() <= 0


def test_log_probabilities_in_bfloat16_do_not_raise_scores_either():
    """Two halves are .5009 each there, and "A some time" would have 1.0036."""
    log_p_BSV = hand_made(*[(0.5, 0.5)] * 20).astype(jnp.bfloat16)
    score_BWV, _ = scores_after(log_p_BSV, all_of(log_p_BSV), [[]])
    assert score_BWV.dtype == np.float32
    assert score_BWV[0, 0, A] == 0.0


def test_a_label_of_no_probability_counts_as_one_of_e_to_the_minus_60():
    log_p_BSV = hand_made((1.0, 0.0), (1.0, 0.0)).at[..., A].set(-jnp.inf)
    score_BWV, _ = scores_after(log_p_BSV, all_of(log_p_BSV), [[]])
    assert score_BWV[0, 0, A] == pytest.approx(np.log(2) - 60, abs=1e-4)


def test_masked_positions_count_for_nothing_wherever_they_stand():
    log_p_BSV, prefixes = speech(1), [[A, A, B], [B, A, A]]
    mask = jnp.array([[True, False, True, True, False]] * 2)
    garbage = jnp.where(mask[..., None], log_p_BSV, -3.0)
    found, total = scores_after(garbage, mask, prefixes)
    expected, sum_of_expected = scores_after(log_p_BSV[:, [0, 2, 3]], mask[:, [0, 2, 3]], prefixes)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(total, sum_of_expected, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.5])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_beam_that_holds_everything_finds_the_best_joint_scores(weight, alpha):
    """Every ended sequence of two labels, in order; α raises scores, but no sum of them."""
    table, log_p_BSV, wide = table_of(1), speech(2), V**T
    ctc = prefix_scores(log_p_BSV, all_of(log_p_BSV), wide)
    joint = joint_scores(table_model(table, wide), ctc, weight)
    found = jax.jit(
        lambda: beam_search(*joint, 2, T, beam_size=wide, alpha=alpha, normalized=True)
    )()
    for row in range(2):
        p = sequences(2, row, S)
        p = {labels: value for labels, value in p.items() if EOS not in labels}
        score = {
            (*labels, EOS): (
                (1 - weight) * log_p(table, row, (*labels, EOS)) + weight * np.log(value)
            )
            / length_penalty(len(labels) + 1, alpha)
            for labels, value in p.items()
            if len(labels) < T
        }
        assert len(score) == 23  # of 31; 8 need more than 5 positions
        expected = sorted(score, key=lambda tokens: -score[tokens])
        tokens = found.tokens_BWT[row].tolist()
        if weight == 0:  # a decoder alone may say PAD
            tokens = [one for one in tokens if tuple(one) in {tuple(padded(s)) for s in score}]
        assert tokens[:23] == [padded(one) for one in expected]
        if weight:
            best = [score[one] for one in expected]
            np.testing.assert_allclose(found.score_BW[row, :23], best, atol=1e-4)


@pytest.mark.parametrize("beam_size", [1, 3])
def test_without_ctc_the_joint_search_is_the_decoder_s_to_the_bit(beam_size):
    log_p_BSV = speech(2)
    ctc = prefix_scores(log_p_BSV, all_of(log_p_BSV), beam_size)
    decoder = table_model(table_of(4), beam_size)
    joint = joint_scores(decoder, ctc, 0.0)
    if beam_size == 1:
        expected = greedy_search(*decoder, 2, T)
        found = greedy_search(*joint, 2, T, normalized=True)
    else:
        options = {"beam_size": beam_size, "alpha": 0.6}
        expected = beam_search(*decoder, 2, T, **options)
        found = beam_search(*joint, 2, T, **options, normalized=True)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_ctc_outvotes_a_decoder_that_ends_too_soon():
    """The decoder gives its end .9 and A .1 each time; CTC hears A, and surely one only."""

    def next_logits(tokens_BW, position, cache):
        scores = jnp.full(V, -1e9).at[jnp.array([EOS, A])].set(jnp.log(jnp.array([0.9, 0.1])))
        return jnp.broadcast_to(scores, (*tokens_BW.shape, V)), cache

    log_p_BSV = hand_made((0.01, 0.99), (0.99, 0.01))
    table = table_of(0, rows=1)  # for its cache alone
    tokens = {}
    for weight in (0.0, 0.5):
        ctc = prefix_scores(log_p_BSV, all_of(log_p_BSV), 2)
        joint = joint_scores((next_logits, table_model(table, 2)[1]), ctc, weight)
        found = beam_search(*joint, 1, T, beam_size=2, alpha=0.0, normalized=True)
        tokens[weight] = found.tokens_BWT[0, 0].tolist()
    assert tokens == {0.0: padded([EOS]), 0.5: padded([A, EOS])}


def test_greedy_ctc_is_empty_where_prefix_search_hears_a_label():
    """P(blank) = .6 twice: -- has .36 and is the likeliest of four paths, but "a" has .64."""
    log_p_BSV = hand_made((0.6, 0.4), (0.6, 0.4))
    mask_BS = all_of(log_p_BSV)
    greedy = ctc_greedy_search(log_p_BSV, mask_BS, 3)
    assert greedy.tokens_BT.tolist() == [[EOS, PAD, PAD]]
    assert float(greedy.score_B[0]) == pytest.approx(np.log(0.36), abs=1e-5)
    found = ctc_beam_search(log_p_BSV, mask_BS, 3, beam_size=2)
    assert found.tokens_BWT[0].tolist() == [[A, EOS, PAD], [EOS, PAD, PAD]]
    np.testing.assert_allclose(found.score_BW[0], np.log([0.64, 0.36]), atol=1e-5)


def test_three_positions_at_even_odds():
    """Of eight paths one is "", one "aa" and six "a"; seven begin with "a"."""
    log_p_BSV = hand_made(*[(0.5, 0.5)] * 3)
    score_BWV, _ = scores_after(log_p_BSV, all_of(log_p_BSV), [[]])
    assert score_BWV[0, 0, A] == pytest.approx(np.log(7 / 8), abs=1e-5)
    found = ctc_beam_search(log_p_BSV, all_of(log_p_BSV), 4, beam_size=3)
    assert found.tokens_BWT[0, 0].tolist() == [A, EOS, PAD, PAD]
    np.testing.assert_allclose(found.score_BW[0], np.log([6 / 8, 1 / 8, 1 / 8]), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_prefix_search_finds_the_likeliest_labels(seed):
    log_p_BSV = speech(seed)
    found = ctc_beam_search(log_p_BSV, all_of(log_p_BSV), S + 1, beam_size=8)
    for row in range(2):
        p = {s: value for s, value in sequences(seed, row, S).items() if EOS not in s}
        best = max(p, key=p.__getitem__)
        assert found.tokens_BWT[row, 0].tolist() == [*best, EOS, *[PAD] * (S - len(best))]
        assert float(found.score_BW[row, 0]) == pytest.approx(np.log(p[best]), abs=1e-4)


def test_where_little_fits_what_fits_comes_first():
    """One position has room for "", "a" and "b": the fourth beam holds what cannot be."""
    log_p_BSV = jnp.log(jnp.array([[[0.5, 0.0, 0.3, 0.2]]]))
    found = ctc_beam_search(log_p_BSV, all_of(log_p_BSV), 3, beam_size=4)
    expected = [[EOS, PAD, PAD], [A, EOS, PAD], [B, EOS, PAD]]
    assert found.tokens_BWT[0, :3].tolist() == expected
    np.testing.assert_allclose(found.score_BW[0, :3], np.log([0.5, 0.3, 0.2]), atol=1e-5)
    assert float(found.score_BW[0, 3]) < -1e7
    assert len({tuple(tokens) for tokens in found.tokens_BWT[0].tolist()}) == 4


@pytest.mark.parametrize(
    ("path", "valid", "expected"),
    [
        ([A, A, PAD, A, B], 5, [A, A, B, EOS]),
        ([PAD, PAD, B, B, PAD], 5, [B, EOS, PAD, PAD]),
        ([A, B, A, B, A], 5, [A, B, A, B]),  # cut, and no room for the end
        ([A, B, A, B, A], 3, [A, B, A, EOS]),
        ([A, B, A, B, A], 0, [EOS, PAD, PAD, PAD]),
    ],
)
def test_greedy_ctc_merges_repeats_and_drops_blanks(path, valid, expected):
    log_p_BSV = jnp.log(0.1 + 0.6 * jax.nn.one_hot(jnp.array([[PAD] * 5, path]), V))
    mask_BS = jnp.arange(5)[None] < jnp.array([[5], [valid]])
    search = jax.jit(ctc_greedy_search, static_argnums=2)
    found = search(log_p_BSV, mask_BS, 4)
    assert found.tokens_BT.tolist() == [[EOS, PAD, PAD, PAD], expected]
    np.testing.assert_allclose(found.score_B, np.log(0.7) * np.array([5, valid]), rtol=1e-5)


def test_an_end_is_no_label():
    """Whatever probability CTC's scores give token 1."""
    log_p_BSV = jnp.log(jnp.array([[[0.1, 0.6, 0.3, 0.0], [0.1, 0.6, 0.0, 0.3]]]))
    found = ctc_greedy_search(log_p_BSV, all_of(log_p_BSV), 4)
    assert found.tokens_BT.tolist() == [[A, B, EOS, PAD]]
    found = ctc_beam_search(log_p_BSV, all_of(log_p_BSV), 4, beam_size=4)
    assert found.tokens_BWT[0, 0].tolist() == [A, B, EOS, PAD]
    assert float(found.score_BW[0, 0]) == pytest.approx(np.log(0.09), abs=1e-5)


def test_scores_are_added_up_as_they_are_where_they_are_said_to_be_normalized():
    def next_logits(tokens_BW, position, cache):
        scores = jnp.array([-9.0, -4.0, -0.25, -2.0])
        scores = scores.at[EOS].set(jnp.where(position == 2, -0.125, -4.0))
        return jnp.broadcast_to(scores, (*tokens_BW.shape, V)), cache

    table = table_of(0, rows=1)  # for its cache alone
    one = greedy_search(next_logits, table_model(table, 1)[1], 1, T, normalized=True)
    best = beam_search(
        next_logits, table_model(table, 2)[1], 1, T, beam_size=2, alpha=0.0, normalized=True
    )
    assert one.tokens_BT[0].tolist() == best.tokens_BWT[0, 0].tolist() == padded([A, A, EOS])
    assert float(one.score_B[0]) == float(best.score_BW[0, 0]) == -0.625
