import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import equations
from support.arrays import normal

from taskaware import ExplicitTCN, ImplicitTCN, TCNParam, bidirectional_attention, derangement
from taskaware.modulation.tcn import TaskTokens, last_valid

KEY = jax.random.key(0)
TOKENS = (("de", "say"), ("say", "en"), ("say", "de"), ("ro", "write"))
"""The first three share tokens, and two of them differ by their order alone."""


def count(module):
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def numbers(module):
    """A module's parameters as nested dicts and lists of NumPy arrays."""
    return jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module)))


@nnx.jit
def run(tcn, *example):
    return tcn(*example)


def small(**options):
    return ImplicitTCN(12, 24, width=8, d_ff=16, num_heads=2, rngs=nnx.Rngs(1), **options)


def test_the_explicit_tcn_is_equation_1():
    tcn = ExplicitTCN(3, 5, 10, init="lecun", rngs=nnx.Rngs(0))
    found = tcn(jnp.array([2, 0, 2]))
    kernel = np.asarray(tcn.kernel_NZ[...])
    for row, task in enumerate([2, 0, 2]):
        expected = equations.explicit_tcn(np.eye(3)[task], kernel)
        np.testing.assert_allclose(found[row], expected, rtol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_implicit_tcn_is_equations_2_to_5(num_layers):
    tcn = small(init="lecun", num_layers=num_layers)
    x, y = normal(3, 6, 12), normal(3, 4, 12)
    found = run(tcn, x, jnp.ones((3, 6), bool), y, jnp.ones((3, 4), bool))
    params = numbers(tcn)
    params |= {name: [*params[name].values()] for name in ("represent", "summarize")}
    for row in range(3):
        expected = equations.implicit_tcn(np.asarray(x[row]), np.asarray(y[row]), 2, params)
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tasks", [[], [()], [("a", "b"), ("a",)], [("a",), ()]])
def test_tasks_without_equally_many_tokens_are_refused(tasks):
    with pytest.raises(ValueError, match="expected equally many tokens for each task"):
        TaskTokens(tasks, 4, rngs=nnx.Rngs(0))


def test_padding_never_changes_the_task_embedding():
    tcn = small(init="lecun")
    x, y = normal(2, 6, 12), normal(2, 4, 12)
    bare = run(tcn, x, jnp.ones((2, 6), bool), y, jnp.ones((2, 4), bool))
    noise = 100 * jnp.ones((2, 3, 12))
    padded = run(
        tcn,
        jnp.concatenate([x, noise], 1),
        jnp.arange(9)[None] < jnp.array([[6], [6]]),
        jnp.concatenate([y, noise], 1),
        jnp.arange(7)[None] < jnp.array([[4], [4]]),
    )
    np.testing.assert_allclose(padded, bare, rtol=1e-5, atol=1e-6)


def test_an_example_s_embedding_depends_on_that_example_alone():
    tcn = small(init="lecun")
    x, y, mask = normal(3, 6, 12), normal(3, 4, 12), jnp.ones((3, 6), bool)
    before = run(tcn, x, mask, y, mask[:, :4])
    after = run(tcn, x.at[1].add(1.0), mask, y, mask[:, :4])
    changed = np.abs(np.asarray(after - before)).max(1) > 1e-6
    assert changed.tolist() == [False, True, False]


def test_bidirectional_attention_is_equation_3():
    x, y = normal(2, 5, 4), normal(2, 3, 4)
    found = bidirectional_attention(x, jnp.ones((2, 5), bool), y, jnp.ones((2, 3), bool))
    for row in range(2):
        expected = equations.bidirectional_attention(np.asarray(x[row]), np.asarray(y[row]))
        np.testing.assert_allclose(found[0][row], expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1][row], expected[1], rtol=1e-5, atol=1e-6)


def test_scaled_scores_are_those_of_inputs_divided_by_the_fourth_root():
    x, y = normal(1, 5, 16), normal(1, 3, 16)
    masks = jnp.ones((1, 5), bool), jnp.ones((1, 3), bool)
    scaled, _ = bidirectional_attention(x, masks[0], y, masks[1], scaled=True)
    half, _ = bidirectional_attention(x / 2, masks[0], y / 2, masks[1])
    np.testing.assert_allclose(scaled, 2 * half, rtol=1e-5)


def test_the_summary_is_the_last_valid_position_not_the_last():
    x = jnp.arange(24.0).reshape(2, 4, 3)
    mask = jnp.array([[True, True, False, False], [True] * 4])
    np.testing.assert_array_equal(last_valid(x, mask), [[3, 4, 5], [21, 22, 23]])


@pytest.mark.parametrize(
    ("expected", "module"),
    [
        # PAPER.md §1.7: eq. 6 literally for s = 3, d = 512; the paper says "roughly 1500".
        (3_072, lambda: ExplicitTCN(3, 512, 1024, rngs=nnx.Rngs(0))),
        # The paper says "roughly 1 million": width 128, ff 1024, with the input's projection.
        (988_544, lambda: ImplicitTCN(512, 1024, rngs=nnx.Rngs(0))),
        (5_255_168, lambda: ImplicitTCN(512, 1024, width=512, num_heads=8, rngs=nnx.Rngs(0))),
        (1_054_208, lambda: ImplicitTCN(256, 512, width=256, d_ff=256, rngs=nnx.Rngs(0))),
    ],
)
def test_parameter_counts_are_those_worked_out_from_the_paper(expected, module):
    assert count(nnx.eval_shape(module)) == expected


@pytest.mark.parametrize(
    "tcn",
    [
        small(),
        ExplicitTCN(3, 12, 24, rngs=nnx.Rngs(0)),
        TaskTokens(TOKENS, 12, rngs=nnx.Rngs(0)),
    ],
)
def test_every_parameter_of_a_tcn_can_be_named_by_its_type(tcn):
    kinds = {type(variable) for _, variable in nnx.to_flat_state(nnx.state(tcn))}
    assert kinds and all(issubclass(kind, TCNParam) for kind in kinds)


def test_tasks_differ_from_the_first_step_while_gamma_is_one():
    embedding = ExplicitTCN(3, 64, 128, rngs=nnx.Rngs(0))(jnp.arange(3))
    assert (embedding[:, :64] == 0).all()
    distance = [float(jnp.linalg.norm(embedding[a] - embedding[b])) for a, b in ((0, 1), (1, 2))]
    assert min(distance) > 1.0


def vectors(tcn):
    """Each task's vector of each token, by the token's name and where it was met."""
    embedding = np.asarray(tcn(jnp.arange(len(TOKENS))))
    assert embedding.shape == (4, 2 * 12)
    return [
        (token, embedding[task, place * 12 : (place + 1) * 12])
        for task, tokens in enumerate(TOKENS)
        for place, token in enumerate(tokens)
    ]


def test_a_task_s_vectors_are_those_of_its_tokens_in_their_order_shared_by_name():
    tcn = TaskTokens(TOKENS, 12, rngs=nnx.Rngs(0))
    table = np.asarray(tcn.table_VD[...])
    met = vectors(tcn)
    for (token, vector), (other, compared) in itertools.product(met, met):
        assert np.array_equal(vector, compared) == (token == other)
    rows = {token: np.flatnonzero((table == vector).all(1)).tolist() for token, vector in met}
    assert sorted(rows.values()) == [[0], [1], [2], [3], [4]]  # none is left over


def test_rows_that_are_asked_for_twice_or_in_another_order_have_their_own_task():
    tcn = TaskTokens(TOKENS, 12, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(
        tcn(jnp.array([3, 1, 3])), np.asarray(tcn(jnp.arange(4)))[[3, 1, 3]]
    )


def test_tokens_keep_their_vectors_whatever_the_order_of_the_tasks():
    there = TaskTokens(TOKENS, 12, rngs=nnx.Rngs(0))
    back = TaskTokens(TOKENS[::-1], 12, rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(there(jnp.arange(4)), back(jnp.arange(4)[::-1]))


@pytest.mark.parametrize("task", range(4))
def test_what_a_task_learns_reaches_the_rows_of_its_tokens_and_no_others(task):
    tcn, weight = TaskTokens(TOKENS, 12, rngs=nnx.Rngs(0)), normal(1, 24)
    gradient = nnx.grad(lambda tcn: (tcn(jnp.array([task])) * weight).sum())(tcn)
    table = np.asarray(tcn.table_VD[...])
    expected = np.zeros_like(table)
    for place, token in enumerate(TOKENS[task]):
        vector = next(vector for name, vector in vectors(tcn) if name == token)
        row = int(np.flatnonzero((table == vector).all(1)).item())
        expected[row] = weight[0, place * 12 : (place + 1) * 12]
    np.testing.assert_array_equal(gradient["table_VD"][...], expected)


def test_there_is_a_vector_for_each_token_and_none_for_a_task():
    assert count(TaskTokens(TOKENS, 12, rngs=nnx.Rngs(0))) == 5 * 12
    assert count(TaskTokens(TOKENS[:1] * 9, 12, rngs=nnx.Rngs(0))) == 2 * 12


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=12), st.integers(0, 2**31))
def test_a_derangement_stays_in_the_task_and_never_keeps_a_row(tasks, seed):
    donor = np.asarray(derangement(jax.random.key(seed), jnp.array(tasks, jnp.int32)))
    assert sorted(donor) == list(range(12))
    for row, task in enumerate(tasks):
        assert tasks[donor[row]] == task
        assert donor[row] != row or tasks.count(task) == 1


def test_derangements_differ_by_key_and_reach_every_other_row():
    task = jnp.zeros(5, jnp.int32)
    draws = np.stack([derangement(jax.random.key(seed), task) for seed in range(200)])
    for row in range(5):
        assert set(draws[:, row]) == set(range(5)) - {row}
