"""Oracle throughout: a twin that calls the same layers by hand, with ``film`` between them."""

import copy
import functools
import pickle
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax.sharding import NamedSharding, PartitionSpec

from taskaware import FiLM, GraftParam, Modulation, bind, film, graft, sites_of, ungraft
from taskaware.errors import UsageError

B, T, D, L = 2, 3, 4, 3
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (B, T, D))


def modulation(seed, *lead):
    gamma, beta = 0.3 * jax.random.normal(jax.random.key(seed), (2, *lead, B, D))
    return Modulation(1 + gamma, beta)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


IDENTITY = Modulation(jnp.ones((B, D)), jnp.zeros((B, D)))
TWO = [modulation(1), modulation(2)]


class Block(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        return x + jnp.tanh(self.linear(x))


class JitBlock(Block):
    @nnx.jit
    def __call__(self, x):
        return x + jnp.tanh(self.linear(x))


class Net(nnx.Module):
    """A loop over blocks; what runs a block is what the variants below differ in."""

    def __init__(self, run=lambda block, x: block(x), block=Block, seed=0):
        rngs = nnx.Rngs(seed)
        self.run = run
        self.blocks = nnx.List([block(rngs) for _ in range(L)])
        self.head = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = self.run(block, x)
        return self.head(x)


class Stack(nnx.Module):
    """The same blocks as one stack of parameters."""

    def __init__(self, in_axes, seed=0):
        rngs = nnx.Rngs(seed)
        blocks = nnx.List([Block(rngs) for _ in range(L)])
        graphdef = nnx.graphdef(blocks[0])
        states = [nnx.state(block) for block in blocks]
        self.blocks = nnx.merge(graphdef, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
        self.head = nnx.Linear(D, D, rngs=rngs)
        self.in_axes = in_axes

    def __call__(self, x):
        run = nnx.scan(
            lambda block, x: block(x), in_axes=(self.in_axes, nnx.Carry), out_axes=nnx.Carry
        )
        return self.head(run(self.blocks, x))


def twin(x, modulations, seed=0):
    """``Net`` with FiLM written into it after every block."""
    net = Net(seed=seed)
    for block, own in zip(net.blocks, modulations, strict=True):
        x = film(block(x), *own)
    return net.head(x)


run_jit = nnx.jit(lambda block, x: block(x))
run_remat = nnx.remat(lambda block, x: block(x))
run_both = nnx.remat(lambda block, x: run_jit(block, x))
LOOPS = {
    "plain": lambda: Net(),
    "a block that compiles itself": lambda: Net(block=JitBlock),
    "an inner nnx.jit": lambda: Net(run_jit),
    "nnx.remat": lambda: Net(run_remat),
    "nnx.jit in nnx.remat": lambda: Net(run_both),
    "jax.checkpoint": lambda: Net(lambda block, x: jax.checkpoint(block)(x)),
    "jax.jit of a split": lambda: Net(run_split),
}


@functools.partial(jax.jit, static_argnums=0)
def call_split(graphdef, params, x):
    return nnx.merge(graphdef, params)(x)


def run_split(block, x):
    return call_split(*nnx.split(block, nnx.Param), x)  # raises if there is more than Params


STACKS = {
    "a scan": lambda: Stack(0),
    "a scan that names Param": lambda: Stack(nnx.StateAxes({nnx.Param: 0, ...: None})),
}


def grafted(name):
    if name in STACKS:
        return graft(STACKS[name](), where="blocks", stacked="blocks")
    return graft(LOOPS[name](), where=r"blocks/\d+")


def split_call(model, own, x):
    graphdef, state = nnx.split(model)
    return jax.jit(lambda state, own, x: bind(nnx.merge(graphdef, state), own)(x))(state, own, x)


CALLS = {
    "eager": lambda model, own, x: bind(model, own)(x),
    "nnx.jit": nnx.jit(lambda model, own, x: bind(model, own)(x)),
    "bound outside nnx.jit": lambda model, own, x: run_jit(bind(model, own), x),
    "jax.jit": split_call,
}


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


class Twice(nnx.Module):
    """One layer in two places and, in the second, called twice."""

    def __init__(self, rngs):
        self.first = self.second = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        return self.second(self.second(self.first(x)))


def test_a_shared_module_is_one_site_and_every_call_of_it_is_modulated():
    net = Twice(nnx.Rngs(0))
    model = graft(net, where="first|second")
    assert sites_of(model) == ["first"]
    x = X
    for _ in range(3):
        x = film(net.first(x), *TWO[0])
    assert_close(bind(model, TWO[0])(X), x)


def test_a_site_inside_a_site_is_modulated_before_it():
    model = graft(Net(), where=r"blocks/0(/linear)?")
    assert sites_of(model) == ["blocks/0", "blocks/0/linear"]
    found = bind(model, {"blocks/0": TWO[0], "blocks/0/linear": TWO[1]}).blocks[0](X)
    expected = film(X + jnp.tanh(film(Net().blocks[0].linear(X), *TWO[1])), *TWO[0])
    assert_close(found, expected)


class Pair(NamedTuple):
    hidden: jax.Array
    weight: int


class Returns(nnx.Module):
    def __init__(self, make):
        self.make = make

    def __call__(self, x):
        return self.make(x)


@pytest.mark.parametrize(
    ("make", "output"),
    [
        (lambda x: (None, x), 1),
        (lambda x: [x, 7], 0),
        (lambda x: {"hidden": x, "weight": x}, "hidden"),
        (lambda x: Pair(x, 7), "hidden"),
    ],
)
def test_one_entry_of_a_container_is_modulated_and_the_others_pass(make, output):
    found = bind(graft(Returns(make), where="", output=output), TWO[0])(X)
    expected = make(X)
    assert type(found) is type(expected)
    get = (lambda r: getattr(r, output)) if isinstance(expected, Pair) else (lambda r: r[output])
    np.testing.assert_array_equal(get(found), film(get(expected), *TWO[0]))
    rest = {"hidden": "weight", 0: 1, 1: 0}[output]
    others = [getattr(r, rest) if isinstance(r, Pair) else r[rest] for r in (found, expected)]
    assert others[0] is others[1]


def test_grafts_add_up_and_the_last_says_which_output_counts():
    net = Returns(lambda x: (x, 2 * x))
    model = graft(graft(net, where="", output=0), where="", output=1)
    found = bind(model, TWO[0])(X)
    np.testing.assert_array_equal(found[0], X)
    np.testing.assert_array_equal(found[1], film(2 * X, *TWO[0]))


def test_a_predicate_chooses_as_a_regular_expression_does():
    by_predicate = graft(Net(), where=lambda path: path.startswith("blocks/") and "n" not in path)
    assert sites_of(by_predicate) == sites_of(grafted("plain"))


def test_places_are_in_the_order_of_their_numbers():
    model = nnx.List([nnx.Linear(D, D, rngs=nnx.Rngs(0)) for _ in range(11)])
    assert sites_of(graft(model, where=r"\d+")) == [str(n) for n in range(11)]
    assert sites_of(grafted("a scan")) == ["blocks[0]", "blocks[1]", "blocks[2]"]


def test_a_site_inside_a_stack_takes_every_layers_gamma_and_beta():
    model = graft(Stack(0), where="blocks/linear", stacked="blocks")
    own, x, net = modulation(4, L), X, Net()
    for n, block in enumerate(net.blocks):
        x = x + jnp.tanh(film(block.linear(x), *own.at(n)))
    assert_close(bind(model, own)(X), net.head(x))


def test_a_film_layer_of_ones_own_may_be_grafted_too():
    layer = FiLM(D, D, rngs=nnx.Rngs(0))
    found = bind(graft(layer, where=""), TWO[0])(X, jnp.eye(D)[:B])
    np.testing.assert_array_equal(found, film(X, *TWO[0]))


def _bound(model, own, x=X):
    return lambda: bind(model(), own)(x)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: graft(Net(), where=r"blokcs/\d+"), "matches no module of Net.*'blocks/0'"),
        (lambda: graft(Net(), where="blocks"), "such as 'blocks/0'"),  # a list is not called
        (lambda: graft(Net(), where=lambda path: False), "the predicate matches no module"),
        (lambda: graft(Net(), where="("), "expected a regular expression, found '\\('"),
        (
            lambda: graft(linen.Dense(4), where=""),
            "found a Dense; .* taskaware.modulation.linen.graft",
        ),
        (
            lambda: graft(nnx.Linear(2, 3, rngs=nnx.Rngs(0)), "", stacked=""),
            "'' is not a stack of layers; .* found \\(3,\\), \\(2, 3\\)",
        ),
        (lambda: graft(nnx.Dropout(0.5), "", stacked=""), "one leading axis, found none"),
        (
            lambda: graft(Stack(0), "blocks", stacked="block"),
            "above 'blocks'; found that it matches",
        ),
        (lambda: graft(Stack(0), "blocks", stacked="head"), "at or above 'blocks'; found 'head'"),
        (lambda: bind(Net(), TWO[0]), "Net has no grafted module; call graft"),
        (
            _bound(lambda: grafted("plain"), modulation(0, 2)),
            "shapes \\[3, B, D\\], \\[3, B, D\\]; found \\[2, 2",
        ),
        (_bound(lambda: grafted("plain"), Modulation(TWO[0].gamma_BD, X)), "of shapes \\[B, D\\]"),
        (_bound(lambda: grafted("plain"), {"blocks/0": TWO[0]}), "'blocks/2'; found 'blocks/0'"),
        (_bound(lambda: grafted("a scan"), {"blocks": TWO[0]}), "'blocks' of shapes \\[3, B, D\\]"),
        (_bound(lambda: grafted("plain"), TWO[0], X[:1]), "float32\\[1, 3, 4\\], .* \\[2, 4\\]"),
        (_bound(lambda: graft(Returns(lambda x: (x,)), ""), TWO[0]), "say which entry"),
        (_bound(lambda: graft(Returns(lambda x: x > 0), ""), TWO[0]), "bool.*expected floats"),
        (
            _bound(lambda: graft(Returns(lambda x: {"a": x}), "", output="b"), TWO[0]),
            "returned a dict without an entry 'b'; expected output to be one of a",
        ),
    ],
)
def test_what_cannot_be_grafted_is_said_in_one_line(act, message):
    with pytest.raises(UsageError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)
