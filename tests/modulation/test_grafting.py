"""A grafted model equals its twin, which calls ``film`` by hand, under every transform."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from support.grafted import (
    CALLS,
    IDENTITY,
    KEY,
    LOOPS,
    STACKS,
    TWO,
    B,
    Block,
    D,
    L,
    Net,
    T,
    X,
    assert_close,
    grafted,
    modulation,
    twin,
)

from taskaware import GraftParam, Modulation, bind, film, graft, ungraft


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", [*LOOPS, *STACKS])
def test_a_grafted_model_equals_its_twin_for_one_vector_after_the_other(name, call):
    model = grafted(name)
    for own in [*TWO, TWO[0]]:
        assert_close(CALLS[call](model, own, X), twin(X, [own] * L))
    assert_close(model(X), Net()(X))  # unbound: as it was


@pytest.mark.parametrize("name", [*LOOPS, *STACKS])
def test_each_place_takes_its_own_gamma_and_beta(name):
    model, stacked = grafted(name), modulation(3, L)
    expected = twin(X, [stacked.at(place) for place in range(L)])
    assert_close(bind(model, stacked)(X), expected)
    by_path = (
        {"blocks": stacked}
        if name in STACKS
        else {f"blocks/{place}": stacked.at(place) for place in range(L)}
    )
    assert_close(bind(model, by_path)(X), expected)


@pytest.mark.parametrize("name", [*LOOPS, *STACKS])
def test_gamma_one_and_beta_zero_change_no_bit(name):
    model = grafted(name)
    np.testing.assert_array_equal(bind(model, IDENTITY)(X), ungraft(model)(X))


def test_one_compilation_serves_many_vectors_and_many_equal_grafts():
    traced = []

    class Counted(Block):
        @nnx.jit
        def __call__(self, x):
            traced.append("inside")
            return super().__call__(x)

    @nnx.jit
    def call(model, own, x):
        traced.append("outside")
        return bind(model, own)(x)

    for seed in range(4):
        model = graft(Net(block=Counted, seed=seed), where=r"blocks/\d+")
        found = call(model, modulation(seed), X)
        assert_close(found, twin(X, [modulation(seed)] * L, seed))
    assert traced.count("outside") == 1
    assert traced.count("inside") == 1  # L blocks, and as many traces as without a graft


def test_gradients_by_gamma_and_beta_are_their_closed_forms():
    model = graft(nnx.Linear(D, D, rngs=nnx.Rngs(0)), where="")
    x, c = model(X), jax.random.normal(KEY, (B, T, D))
    found = jax.grad(lambda own: (c * bind(model, own)(X)).sum())(TWO[0])
    assert_close(found.gamma_BD, (c * x).sum(1))
    assert_close(found.beta_BD, c.sum(1))


@pytest.mark.parametrize("name", ["plain", "nnx.remat", "an inner nnx.jit", "a scan"])
def test_parameters_get_the_gradients_of_the_twin(name):
    def loss(net, own):
        x = X
        for block in net.blocks:
            x = film(block(x), *own)
        return (net.head(x) ** 2).sum()

    expected = nnx.grad(loss)(Net(), TWO[0])
    if name in STACKS:
        layers = [expected["blocks"][n] for n in range(L)]
        expected["blocks"] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)
    found = nnx.grad(lambda model: (bind(model, TWO[0])(X) ** 2).sum())(grafted(name))
    scale = max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected))
    jax.tree.map(lambda a, b: assert_close(a / scale, b / scale), found, expected)


@pytest.mark.parametrize("remat", [False, True])
def test_second_derivatives_by_gamma_are_their_closed_form(remat):
    linear = nnx.Linear(D, D, rngs=nnx.Rngs(0))

    def loss(gamma):
        model = bind(graft(linear, where=""), Modulation(gamma, IDENTITY.beta_BD))
        out = jax.checkpoint(lambda x: model(x))(X) if remat else model(X)
        return (out**2).sum() / 2

    found = jax.hessian(loss)(TWO[0].gamma_BD).reshape(B * D, B * D)
    expected = np.diag(np.asarray((linear(X) ** 2).sum(1)).reshape(-1))
    assert_close(found, expected)


def test_a_gradient_goes_through_an_inner_step_as_in_the_twin():
    def after_step(call):
        def outer(own):
            net = Net()
            graphdef, state = nnx.split(net)
            inner = jax.grad(lambda s: (call(nnx.merge(graphdef, s), own) ** 2).sum())(state)
            state = jax.tree.map(lambda p, g: p - 0.1 * g, state, inner)
            return (call(nnx.merge(graphdef, state), own) ** 2).sum()

        return jax.grad(outer)(TWO[0])

    def by_hand(net, own):
        x = X
        for block in net.blocks:
            x = film(block(x), *own)
        return net.head(x)

    found = after_step(lambda net, own: bind(graft(net, where=r"blocks/\d+"), own)(X))
    for a, b in zip(found, after_step(by_hand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4)


@pytest.mark.parametrize("name", ["plain", "jax.checkpoint", "nnx.remat", "a scan"])
def test_vmap_runs_tasks_side_by_side(name):
    model, tasks = grafted(name), modulation(5, 6)
    # Flax lets a transform of its own inside a model see the model only as an argument.
    found = nnx.vmap(lambda model, own: bind(model, own)(X), in_axes=(None, 0))(model, tasks)
    for task in range(6):
        assert_close(found[task], twin(X, [tasks.at(task)] * L))


def test_vmap_over_tasks_may_close_over_the_model():
    model, tasks = grafted("plain"), modulation(5, 6)
    found = jax.vmap(lambda own: bind(model, own)(X))(tasks)
    assert_close(found[4], twin(X, [tasks.at(4)] * L))


def test_a_sharded_model_equals_an_unsharded_one():
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)

    def put(tree, *spec):
        return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*spec)))

    model = grafted("nnx.remat")
    graphdef, state = nnx.split(model)
    state = jax.tree.map(lambda leaf: put(leaf, *[None] * (leaf.ndim - 1), "model"), state)
    own, x = put(TWO[0], "data", "model"), put(X, "data", None, "model")
    found = CALLS["nnx.jit"](nnx.merge(graphdef, state), own, x)
    assert len(found.sharding.device_set) == 8
    assert_close(found, twin(X, [TWO[0]] * L))


def test_paths_types_and_the_original_stay_as_they_are():
    net = Net()
    before = jax.tree.map(jnp.copy, nnx.state(net))
    model = graft(net, where=r"blocks/\d+")
    assert nnx.to_flat_state(nnx.state(model)).paths == nnx.to_flat_state(nnx.state(net)).paths
    assert isinstance(model, Net) and all(isinstance(block, Block) for block in model.blocks)
    assert all(type(block) is Block for block in net.blocks)
    assert nnx.graphdef(model) == nnx.graphdef(graft(Net(), where=r"blocks/\d+"))
    assert nnx.graphdef(model) != nnx.graphdef(net)
    model.head.bias[...] += 1
    jax.tree.map(np.testing.assert_array_equal, nnx.state(net), before)


def test_ungraft_gives_the_original_back_with_what_was_learned():
    net = Net()
    model = graft(graft(net, where=r"blocks/\d+"), where="head")
    for one in (model, bind(model, TWO[0])):
        plain = ungraft(one)
        assert nnx.graphdef(plain) == nnx.graphdef(net)
        jax.tree.map(np.testing.assert_array_equal, nnx.state(plain), nnx.state(net))
    model.head.bias[...] += 1
    np.testing.assert_array_equal(ungraft(model).head.bias[...], net.head.bias[...] + 1)


def test_a_binding_replaces_another_and_leaves_the_model_unbound():
    model = grafted("plain")
    first, second = bind(model, TWO[0]), bind(bind(model, TWO[0]), TWO[1])
    np.testing.assert_array_equal(second(X), bind(model, TWO[1])(X))
    assert nnx.graphdef(first) == nnx.graphdef(second) != nnx.graphdef(model)
    assert len(jax.tree.leaves(nnx.state(first, GraftParam))) == 2 * L
    assert not jax.tree.leaves(nnx.state(model, GraftParam))


def test_copies_and_pickles_of_a_grafted_model_are_equal_to_it():
    model = bind(graft(nnx.Sequential(nnx.Linear(D, D, rngs=nnx.Rngs(0))), where=""), TWO[0])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert nnx.graphdef(other) == nnx.graphdef(model)
        np.testing.assert_array_equal(other(X), model(X))


def test_batch_statistics_and_dropouts_counter_go_to_the_grafted_model():
    rngs = nnx.Rngs(0)
    net = nnx.Sequential(nnx.BatchNorm(D, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))
    model = graft(net, where="layers/0")
    CALLS["nnx.jit"](model, TWO[0], X)
    expected = nnx.clone(net)
    expected(X)
    batch_norm = model.layers[0]
    np.testing.assert_allclose(batch_norm.mean[...], expected.layers[0].mean[...], rtol=1e-6)
    assert model.layers[1].rngs.count[...] == 1 and net.layers[1].rngs.count[...] == 0
    assert (net.layers[0].mean[...] == 0).all()
