"""Meta learning of tasks with different heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.mixed_heads import NAMES, batch, model, tasks_named

from taskaware.config import Meta
from taskaware.modulation.affine import TCNParam
from taskaware.training.joint import joint_sums
from taskaware.training.maml import maml_loss
from taskaware.training.objective import Objective

KEY = jax.random.key(0)
WRITTEN = ("slots", "meant", "mt", "age", "again")
"""Text tasks; two of one head and shape, which are computed side by side."""
RATES = dict(zip(WRITTEN, jnp.array([0.5, 0.3, 0.2, 0.0, 0.1]), strict=True))


@pytest.mark.parametrize(
    ("conditioning", "order"),
    [
        ("explicit", "second"),
        pytest.param("explicit", "first", marks=pytest.mark.long),
        pytest.param("vanilla", "second", marks=pytest.mark.long),
        pytest.param("implicit", "first", marks=pytest.mark.long),
    ],
)
def test_each_task_adapts_its_head_and_all_that_is_shared_as_computed_by_hand(conditioning, order):
    graphdef, params = nnx.split(with_two_alike(conditioning))
    rows, how = batch(rows=4, names=WRITTEN[:-1]), Objective(0.1)
    rows["again"] = batch(rows=4, seed=1)["meant"]

    def found(params):
        return maml_loss(graphdef, params, rows, KEY, RATES, how, Meta(order=order))

    def by_hand(params):
        """One task after the other: a step down its own support, then the loss of its query."""

        def sums(params, name, half):
            chosen = {name: jax.tree.map(lambda leaf: leaf[half::2], rows[name])}
            return joint_sums(nnx.merge(graphdef, params), chosen, KEY, None, how)

        weighted_G = judged_G = jnp.zeros(4)
        for name in WRITTEN:
            slope = jax.grad(lambda p, n=name: sums(p, n, 0)[0].loss)(params)
            slope = jax.lax.stop_gradient(slope) if order == "first" else slope
            tcn, rest = nnx.split_state(params, TCNParam, ...)
            slope = nnx.split_state(slope, TCNParam, ...)[1]
            moved = jax.tree.map(lambda p, g, n=name: p - RATES[n] * g, rest, slope)
            query = sums(nnx.merge_state(tcn, moved), name, 1)[0]
            weighted_G, judged_G = weighted_G + query.weighted_G, judged_G + query.judged_G
        return (weighted_G / judged_G).sum()

    (loss, metrics), gradient = jax.jit(jax.value_and_grad(found, has_aux=True))(params)
    expected_loss, expected = jax.jit(jax.value_and_grad(by_hand))(params)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    assert (metrics["loss_N"] > 0).all()
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)
    assert set(gradient["heads"]) == {"decoder", "slots", "intent", "age"}


def with_two_alike(conditioning):
    """A model of text tasks, the last one with the head of the second."""
    assert set(WRITTEN[:-1]) == {task.name for task in tasks_named(*NAMES) if task.source == "text"}
    m = model(conditioning, ("slots", "meant", "mt", "age", "intent"))
    # The speech task of that head is not used; a text task takes its place.
    m.tasks = tuple("again" if name == "intent" else name for name in m.tasks)
    return m
