import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support import train_toy as toy_run

from taskaware.config import Meta
from taskaware.devices import sharding
from taskaware.dims import EOS, PAD, Text
from taskaware.modulation.affine import TCNParam
from taskaware.modulation.tcn import derangement
from taskaware.training import maml
from taskaware.training.joint import joint_loss, joint_sums
from taskaware.training.maml import adapt, maml_loss, maml_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import initial_state

KEY = jax.random.key(0)
RATES = dict.fromkeys(toy_run.TASKS, jnp.float32(0.5))
STILL = dict.fromkeys(toy_run.TASKS, jnp.float32(0))


def model(conditioning="explicit", speech=False):
    return toy_run.model(conditioning, speech=speech, dropout=0.0)


def text_tasks(seed=0, rows=4):
    """Three text tasks: the convolutions would only take long to compile twice over."""
    random = np.random.default_rng(seed)
    source, target = random.integers(3, toy_run.V, (2, 3 * rows, 5))
    target[:, 3], target[::2, 2], target[::2, 3], target[:, 4] = EOS, EOS, PAD, PAD
    sources, targets = (np.split(tokens.astype(np.int32), 3) for tokens in (source, target))
    return toy_run.of_tasks(map(Text, sources), targets)


def meta_loss(m, meta):
    """The outer loss as a function of parameters, tasks and inner rates."""
    graphdef = nnx.graphdef(m)
    return lambda params, tasks, rates=RATES: maml_loss(
        graphdef, params, tasks, KEY, rates, Objective(0.1), meta
    )[0]


@functools.cache
def slope(conditioning, meta):
    """The outer loss and its gradient, to be compiled once for all tests of text tasks."""
    return jax.jit(jax.value_and_grad(meta_loss(model(conditioning), meta)))


def gradient(m, tasks, meta):
    return jax.jit(jax.grad(meta_loss(m, meta)))(nnx.state(m), tasks)


def close(found, expected, tolerance=1e-5):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# A quadratic: support loss (θ - s)ᵀA(θ - s) / 2, query loss (θ - q)ᵀB(θ - q) / 2. K inner steps
# give θ_K = s + P(θ - s) with P = (1 - αA)^K, so that the outer gradient is PᵀB(θ_K - q) in second
# order and B(θ_K - q) in first order.


@pytest.mark.parametrize("remat", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_outer_gradient_of_a_quadratic_is_its_closed_form(steps, remat):
    random = np.random.default_rng(steps)
    square = random.normal(size=(2, 4, 4))
    a, b = (m @ m.T / 4 + np.eye(4) for m in square)
    theta, s, q = random.normal(size=(3, 4))
    power = np.linalg.matrix_power(np.eye(4) - 0.2 * a, steps)
    adapted = s + power @ (theta - s)

    def outer(theta, order):
        meta = Meta(inner_steps=steps, order=order, remat=remat)
        found = adapt(lambda t: (t - s) @ a @ (t - s) / 2, theta, 0.2, meta)
        return (found - q) @ b @ (found - q) / 2

    exact = np.asarray(jax.grad(outer)(jnp.asarray(theta), "second"))
    first = np.asarray(jax.grad(outer)(jnp.asarray(theta), "first"))
    np.testing.assert_allclose(exact, power.T @ b @ (adapted - q), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(first, b @ (adapted - q), rtol=1e-5, atol=1e-5)
    assert np.abs(exact - first).max() > 0.1


def test_one_number_tells_the_two_orders_apart():
    """Support loss 2θ² from θ = 1 with α = 0.1: θ' = 0.6; query loss 3(θ' - 1)²."""
    for order, expected in (("second", 6 * (0.6 - 1) * 0.6), ("first", 6 * (0.6 - 1))):
        meta = Meta(order=order)
        found = jax.grad(lambda t, m=meta: 3 * (adapt(lambda t: 2 * t**2, t, 0.1, m) - 1) ** 2)(1.0)
        assert float(found) == pytest.approx(expected, rel=1e-6)


def smooth_point():
    """Parameters of a Transformer with every part, around which its loss has no kink.

    Half of the units of each ReLU are open for every input, half are closed. Of fresh parameters
    some ReLU's input is so near to zero that central differences are up to 60 % off, by the seed.
    """

    def moved(path, leaf):
        is_before_relu = "'up'" in jax.tree_util.keystr(path) and leaf.ndim == 1
        # Of the leaf's very type: plain numbers are of a weak one, and ask for another program.
        return jnp.where(jnp.arange(leaf.size) % 2, 4.0, -4 + 0 * leaf) if is_before_relu else leaf

    return jax.tree_util.tree_map_with_path(moved, nnx.state(model("implicit")))


def slopes(order):
    return slope("implicit", Meta(order=order))(smooth_point(), text_tasks(), RATES)[1]


def product(a, b):
    return float(sum((x * y).sum() for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True)))


def test_second_order_is_the_slope_of_the_meta_loss():
    """By central differences along the gradient itself."""
    params, tasks, found = smooth_point(), text_tasks(), slopes("second")
    norm = product(found, found) ** 0.5

    def moved(distance):
        there = jax.tree.map(lambda p, g: p + distance * g / norm, params, found)
        return float(slope("implicit", Meta(order="second"))(there, tasks, RATES)[0])

    # Of four models and their data 2e-4 off at most; first order is 40 to 85 % off.
    assert norm == pytest.approx((moved(1e-3) - moved(-1e-3)) / 2e-3, rel=2e-3)


@pytest.mark.long
def test_first_order_is_not_the_slope():
    first, second = slopes("first"), slopes("second")
    assert abs(product(first, second) / product(second, second) - 1) > 0.2


def test_without_an_inner_step_it_is_joint_learning():
    """Two query rows a task: each can only be modulated by the other, whatever the key."""
    m, tasks = model("implicit"), text_tasks()
    _, found = slope("implicit", Meta(order="second"))(nnx.state(m), tasks, STILL)
    query = jax.tree.map(lambda leaf: leaf[1::2], tasks)
    pairs = derangement(KEY, jnp.array([0, 0, 1, 1, 2, 2]))
    assert (pairs == jnp.array([1, 0, 3, 2, 5, 4])).all()
    graphdef = nnx.graphdef(m)

    def joint(params):
        return joint_loss(nnx.merge(graphdef, params), query, KEY, None, Objective(0.1))[0]

    expected = jax.jit(jax.grad(joint))(nnx.state(m))
    close(found, expected)


@pytest.mark.parametrize(
    ("conditioning", "order"),
    [
        pytest.param("explicit", "first", marks=pytest.mark.variants),
        ("implicit", "second"),
        pytest.param("tokens", "second", marks=pytest.mark.long),
        pytest.param("explicit", "second", marks=pytest.mark.long),
        pytest.param("implicit", "first", marks=pytest.mark.long),
        pytest.param("tokens", "first", marks=pytest.mark.long),
    ],
)
def test_inner_steps_leave_the_tcn_bit_identical_and_the_outer_gradient_reaches_it(
    conditioning, order, monkeypatch
):
    seen = []

    def watched(m, *rest):
        side = jax.tree.leaves(nnx.state(m.tcn))
        jax.debug.callback(lambda *leaves: seen.append(leaves), m.embedding.table_VD[...], *side)
        return joint_sums(m, *rest)

    m, tasks = model(conditioning), text_tasks()
    before = jax.tree.leaves(nnx.state(m.tcn))
    with monkeypatch.context() as patch:
        patch.setattr(maml, "joint_sums", watched)
        jax.jit(meta_loss(m, Meta(order=order)))(nnx.state(m), tasks)
    jax.effects_barrier()
    assert len(seen) == 4  # the support, where all tasks have the same parameters, and 3 queries
    for _, *side in seen:
        assert all((a == b).all() for a, b in zip(side, before, strict=True))
    moved = [not np.array_equal(table, m.embedding.table_VD[...]) for table, *_ in seen]
    assert sum(moved) == 3
    _, found = slope(conditioning, Meta(order=order))(nnx.state(m), tasks, RATES)
    found = nnx.filter_state(found, TCNParam)
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(found)) > 1e-4


def test_a_task_adapts_on_its_own_support_alone():
    m, tasks = model(), text_tasks()
    other = text_tasks(seed=1)
    graphdef, params = nnx.split(m)

    @jax.jit
    def losses(tasks):
        return maml_loss(graphdef, params, tasks, KEY, RATES, Objective(0.1), Meta())[1]["loss_N"]

    mixed = jax.tree.map(lambda own, new: own.at[0::2].set(new[0::2]), tasks["asr"], other["asr"])
    changed = losses(tasks | {"asr": mixed}) != losses(tasks)
    assert changed.tolist() == [False, True, False]


def test_a_task_that_is_not_in_meta_train_is_judged_unadapted():
    m, tasks = model(), text_tasks()
    graphdef, params = nnx.split(m)

    @jax.jit
    def losses(rates):
        return maml_loss(graphdef, params, tasks, KEY, rates, Objective(0.1), Meta())[1]["loss_N"]

    some, none, every = map(losses, (RATES | {"asr": jnp.float32(0)}, STILL, RATES))
    np.testing.assert_allclose(some, [every[0], none[1], every[2]], rtol=1e-6)
    assert abs(float(every[1] - none[1])) > 1e-3


@pytest.mark.long
def test_side_by_side_tasks_are_what_they_are_one_by_one(monkeypatch):
    m, tasks = model("implicit", speech=True), toy_run.batch(rows=4)
    assert maml._same_shapes(tasks, toy_run.TASKS) == [["st", "asr"], ["mt"]]
    together = gradient(m, tasks, Meta())
    monkeypatch.setattr(maml, "_same_shapes", lambda tasks, names: [[name] for name in names])
    close(together, gradient(m, tasks, Meta()))


@pytest.mark.long
def test_computing_inner_steps_again_changes_no_gradient():
    m, tasks = model("implicit"), text_tasks()
    keeping, again = (Meta(order="second", inner_steps=2, remat=r) for r in (False, True))
    close(gradient(m, tasks, keeping), gradient(m, tasks, again))
    traced = [str(jax.make_jaxpr(meta_loss(m, x))(nnx.state(m), tasks)) for x in (keeping, again)]
    assert ["remat2" in text or "checkpoint" in text for text in traced] == [False, True]


def setup(conditioning, meta, speech=False):
    m = model(conditioning, speech)
    optimizer = make_optimizer(toy_run.OPTIMIZER, toy_run.MODEL.d_model)
    step = maml_step(
        nnx.graphdef(m), optimizer, Objective(0.1), dict.fromkeys(toy_run.TASKS, 0.02), meta
    )
    return step, initial_state(nnx.state(m), optimizer, 0)


@pytest.mark.parametrize(
    ("conditioning", "meta", "speech"),
    [
        ("explicit", Meta(order="second", remat=True), False),
        pytest.param("implicit", Meta(order="second", remat=True), False, marks=pytest.mark.long),
        pytest.param("vanilla", Meta(), True, marks=pytest.mark.long),
    ],
)
def test_a_strategy_compiles_once_learns_repeats_and_keeps_dtypes(conditioning, meta, speech):
    step, start = setup(conditioning, meta, speech)
    batches = [toy_run.batch(n) if speech else text_tasks(n, rows=8) for n in range(2)]
    toy_run.assert_contract(step, start, batches)


def test_an_adaptation_that_is_not_finite_changes_nothing():
    step, state = setup("explicit", Meta(inner_learning_rate=1.0))
    diverged = state._replace(params=jax.tree.map(lambda leaf: leaf * 1e20, state.params))
    after, metrics = jax.jit(step)(diverged, text_tasks())
    assert bool(metrics["skipped"])
    for a, b in zip(*(jax.tree.leaves(s[1:3]) for s in (diverged, after)), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("shape", "conditioning", "order"),
    [
        ((2, 2, 2), "vanilla", "first"),
        pytest.param((2, 2, 2), "explicit", "first", marks=pytest.mark.long),
        pytest.param((2, 2, 2), "implicit", "second", marks=pytest.mark.long),
        pytest.param((8, 1, 1), "implicit", "second", marks=pytest.mark.long),
    ],
)
def test_a_step_over_eight_devices_is_the_step_on_one(shape, conditioning, order):
    step, state = setup(conditioning, Meta(order=order))
    tasks = text_tasks(rows=16)
    single, _ = jax.jit(step)(state, tasks)
    mesh = sharding.make_mesh(*shape)
    with jax.set_mesh(mesh):
        placed = jax.device_put(state, sharding.state_sharding(mesh, state))
        split, _ = jax.jit(step)(placed, sharding.place_batch(mesh, tasks))
    # One Adam step divides by the gradient's size, so compare what it divided.
    for a, b in zip(*(jax.tree.leaves(s.opt_state) for s in (single, split)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
