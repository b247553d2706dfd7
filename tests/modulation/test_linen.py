"""Oracle throughout: a twin with ``film`` written into its source, run on the same variables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import taskaware
from taskaware import Modulation, film
from taskaware.errors import UsageError
from taskaware.modulation.linen import FiLM, graft, sites_of, ungraft

B, T, D, L = 2, 3, 4, 3
X = jax.random.normal(jax.random.key(0), (B, T, D))


def modulation(seed, *lead):
    gamma, beta = 0.3 * jax.random.normal(jax.random.key(seed), (2, *lead, B, D))
    return Modulation(1 + gamma, beta)


TWO = [modulation(1), modulation(2)]


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return x + jnp.tanh(nn.Dense(D)(x))


class MethodBlock(nn.Module):
    @nn.remat
    @nn.compact
    def __call__(self, x):
        return x + jnp.tanh(nn.Dense(D)(x))


class ScanBlock(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + jnp.tanh(nn.Dense(D)(x)), None


class Net(nn.Module):
    block: type = Block

    @nn.compact
    def __call__(self, x):
        for n in range(L):
            x = self.block(name=f"block_{n}")(x)
        return nn.Dense(D, name="head")(x)


class SetUp(nn.Module):
    def setup(self):
        self.blocks = [Block(name=f"block_{n}") for n in range(L)]
        self.head = nn.Dense(D)

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x):
        blocks = nn.scan(
            nn.remat(ScanBlock), variable_axes={"params": 0}, split_rngs={"params": True}, length=L
        )
        x, _ = blocks(name="blocks")(x, None)
        return nn.Dense(D, name="head")(x)


def variables():
    return Net().init(jax.random.key(3), X)


def twin(params, x, modulations):
    for n, own in enumerate(modulations):
        x = film(Block().apply({"params": params[f"block_{n}"]}, x), *own)
    return nn.Dense(D).apply({"params": params["head"]}, x)


def stack(params):
    blocks = [params[f"block_{n}"] for n in range(L)]
    return {
        "blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks),
        "head": params["head"],
    }


LOOPS = {
    "plain": Net(),
    "setup": SetUp(),
    "nn.jit": Net(nn.jit(Block)),
    "nn.remat": Net(nn.remat(Block)),
    "nn.remat of a method": Net(MethodBlock),
    "nn.jit in nn.remat": Net(nn.remat(nn.jit(Block))),
}


def grafted(name):
    """A grafted model and its variables, which hold the same numbers whatever the model."""
    params = variables()["params"]
    if name == "nn.scan":
        model = graft(Scanned(), where="blocks", stacked="blocks", output=0)
        return model, {"params": stack(params)}
    return graft(LOOPS[name], where=r"block_\d+"), {"params": params}


@pytest.mark.parametrize("name", [*LOOPS, "nn.scan"])
def test_a_grafted_model_equals_its_twin_for_one_vector_after_the_other(name):
    model, own = grafted(name)
    params, calls = variables()["params"], []

    @jax.jit
    def call(own, one):
        calls.append(one)
        return model.apply(own, X, modulation=one)

    for one in [*TWO, TWO[0]]:
        expected = twin(params, X, [one] * L)
        assert_close(model.apply(own, X, modulation=one), expected)
        assert_close(call(own, one), expected)
    assert len(calls) == 1
    assert_close(model.apply(own, X), Net().apply({"params": params}, X))


@pytest.mark.parametrize("name", [*LOOPS, "nn.scan"])
def test_each_place_takes_its_own_gamma_and_beta(name):
    model, own = grafted(name)
    stacked = modulation(3, L)
    expected = twin(variables()["params"], X, [stacked.at(place) for place in range(L)])
    assert_close(model.apply(own, X, modulation=stacked), expected)
    assert len(sites_of(model, own)) == L


@pytest.mark.parametrize("name", [*LOOPS, "nn.scan"])
def test_gamma_one_and_beta_zero_change_no_bit(name):
    model, own = grafted(name)
    identity = Modulation(jnp.ones((B, D)), jnp.zeros((B, D)))
    found = model.apply(own, X, modulation=identity)
    np.testing.assert_array_equal(found, ungraft(model).apply(own, X))


def test_gradients_are_those_of_the_twin():
    model, own = grafted("nn.remat")

    def loss(call):
        return jax.grad(lambda params, one: (call(params, one) ** 2).mean(), argnums=(0, 1))(
            own["params"], TWO[0]
        )

    found = loss(lambda params, one: model.apply({"params": params}, X, modulation=one))
    expected = loss(lambda params, one: twin(params, X, [one] * L))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(assert_close, found, expected)


def test_vmap_runs_tasks_side_by_side():
    model, own = grafted("nn.remat")
    tasks = modulation(5, 6)
    found = jax.vmap(lambda one: model.apply(own, X, modulation=one))(tasks)
    for task in range(6):
        assert_close(found[task], twin(own["params"], X, [tasks.at(task)] * L))


def test_a_graft_changes_neither_the_model_nor_its_variables():
    model, where = LOOPS["plain"], r"block_\d+"
    one = graft(model, where)
    assert type(model) is Net and isinstance(one, Net)
    assert one == graft(Net(), where) and one != model and hash(one) == hash(graft(Net(), where))
    assert ungraft(one) == model and type(ungraft(one)) is Net
    jax.tree.map(
        np.testing.assert_array_equal,
        one.init(jax.random.key(3), X, modulation=TWO[0]),
        variables(),
    )


def test_what_apply_returns_of_the_variables_holds_no_gamma_and_beta_that_a_later_call_sees():
    model, own = grafted("plain")
    _, updated = model.apply(own, X, modulation=TWO[0], mutable=True)
    assert_close(model.apply(updated, X), model.apply(own, X))


class Pair(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(D)(x)
        return x, 2 * x


class Holder(nn.Module):
    pair: type = nn.jit(Pair)

    @nn.compact
    def __call__(self, x):
        return self.pair(name="pair")(x)


def test_two_grafts_that_differ_in_the_output_share_no_compiled_code():
    own = Holder().init(jax.random.key(0), X)
    plain = Holder().apply(own, X)
    for output in (0, 1):
        model = graft(Holder(), where="pair", output=output)
        found = model.apply(own, X, modulation=TWO[0])
        assert_close(found[output], film(plain[output], *TWO[0]))
        assert_close(found[1 - output], plain[1 - output])


class Counts(nn.Module):
    """Calls one layer twice and returns a dictionary."""

    @nn.compact
    def __call__(self, x):
        layer = nn.Dense(D, name="layer")
        return {"hidden": layer(layer(x)), "rows": len(x)}


def test_every_call_of_a_module_and_one_entry_of_an_output_are_modulated():
    own = Counts().init(jax.random.key(0), X)
    model = graft(graft(Counts(), where="layer"), where="", output="hidden")
    found = model.apply(own, X, modulation={"": TWO[0], "layer": TWO[1]})
    layer = nn.Dense(D).bind({"params": own["params"]["layer"]})
    expected = film(film(layer(film(layer(X), *TWO[1])), *TWO[1]), *TWO[0])
    assert_close(found["hidden"], expected)
    assert found["rows"] == B


def test_the_bridge_to_nnx_carries_a_graft():
    model = nnx.bridge.ToNNX(grafted("nn.remat")[0], rngs=nnx.Rngs(0)).lazy_init(X)
    call = nnx.jit(lambda model, one: model(X, modulation=one))
    params = nnx.to_pure_dict(nnx.state(model))
    for one in TWO:
        assert_close(call(model, one), twin(params, X, [one] * L))


def test_the_nnx_graft_takes_a_bridged_linen_model():
    bridged = nnx.bridge.ToNNX(Net(), rngs=nnx.Rngs(0)).lazy_init(X)
    found = taskaware.bind(taskaware.graft(bridged, where=""), TWO[0])(X)
    assert_close(found, film(bridged(X), *TWO[0]))


def test_the_linen_layer_equals_the_nnx_layer_and_starts_as_the_identity():
    task = jax.nn.one_hot(jnp.array([0, 2]), 3)
    layer = FiLM()
    y, own = layer.init_with_output(jax.random.key(0), X, task)
    np.testing.assert_array_equal(y, X)
    other = taskaware.FiLM(3, D, rngs=nnx.Rngs(0))
    assert set(own["params"]) == set(nnx.to_pure_dict(nnx.state(other)))
    random = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(1), leaf.shape), own["params"]
    )
    nnx.update(other, random)
    assert_close(layer.apply({"params": random}, X, task), other(X, task))
    bridged = nnx.bridge.ToNNX(layer, rngs=nnx.Rngs(0)).lazy_init(X, task)
    np.testing.assert_array_equal(bridged(X, task), X)


class Shares(nn.Module):
    """A module and its layer in one scope, as ``nn.share_scope`` makes them."""

    def setup(self):
        self.layer = nn.Dense(D)
        nn.share_scope(self, self.layer)

    def __call__(self, x):
        return jnp.tanh(self.layer(x))


@pytest.mark.parametrize("where", ["", "inner"])
def test_modules_that_share_a_scope_are_one_site(where):
    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x):
            return Shares(name="inner")(x)

    plain = Outer() if where else Shares()
    own = plain.init(jax.random.key(0), X)
    found = graft(plain, where).apply(own, X, modulation=TWO[0])
    assert_close(found, film(plain.apply(own, X), *TWO[0]))


class Encoder(nn.Module):
    def setup(self):
        self.layer = nn.Dense(D)

    def __call__(self, x):
        return self.layer(x)

    def encode(self, x):
        return self.layer(x)


class Uses(nn.Module):
    """Uses an encoder by one method or the other, or leaves it alone."""

    use: str
    kind: type = Encoder

    def setup(self):
        self.encoder = self.kind()

    def __call__(self, x):
        if self.is_initializing():
            return self.encoder(x)
        for name in self.use.split():
            x = getattr(self.encoder, name)(x)
        return x

    def features(self, x):
        return self.encoder.encode(x)


@pytest.mark.parametrize("kind", [Encoder, nn.remat(Encoder), nn.jit(Encoder)])
def test_a_call_that_goes_round_a_site_says_so(kind):
    model = graft(Uses("encode", kind), where="encoder")
    own = model.init(jax.random.key(0), X)
    model.apply(own, X)  # unbound: as it was
    with pytest.raises(
        UsageError, match=r"'encoder' was not called.*Uses took its 'encode'"
    ) as told:
        model.apply(own, X, modulation=TWO[0])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("use", ["__call__", "__call__ encode", "encode __call__", ""])
@pytest.mark.parametrize("kind", [Encoder, nn.remat(Encoder), nn.jit(Encoder)])
def test_no_other_call_is_told(use, kind):
    plain = Uses(use, kind)
    own = plain.init(jax.random.key(0), X)
    encoder = Encoder().bind({"params": own["params"]["encoder"]})
    expected = X
    for name in use.split():
        expected = encoder(expected)
        expected = film(expected, *TWO[0]) if name == "__call__" else expected
    model = graft(plain, where="encoder")
    for _ in range(3):  # with code that nn.jit has kept, too
        assert_close(model.apply(own, X, modulation=TWO[0]), expected)
    if kind is Encoder:  # whoever asks for a method knows what it uses
        assert_close(model.apply(own, X, modulation=TWO[0], method="features"), encoder(X))


def test_what_a_class_does_with_its_subclasses_is_not_done_with_a_graft():
    classes = {}

    class Named(nn.Module):
        def __init_subclass__(cls, *, name, **options):
            super().__init_subclass__(**options)
            classes[name] = cls

    class Mine(Named, name="mine"):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(D)(x)

    own = Mine().init(jax.random.key(0), X)
    model = graft(Mine(), where="")
    assert_close(model.apply(own, X, modulation=TWO[0]), film(Mine().apply(own, X), *TWO[0]))
    assert isinstance(model, Mine) and classes == {"mine": Mine}


DENSE = nn.Dense(3).init(jax.random.key(0), X)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda: graft(nnx.Linear(2, 2, rngs=nnx.Rngs(0)), ""),
            "found a Linear; .*use taskaware.gr",
        ),
        (lambda: _apply(graft(Net(), r"blcok_\d+")), "no module of Net; .* 'block_0'"),
        (lambda: sites_of(Net(), variables()), "Net is not grafted; call linen.graft"),
        (lambda: _apply(graft(nn.Dense(3), "", stacked=""), own=DENSE), "'' is not a stack of"),
        (lambda: _apply(graft(Net(), "head"), X[:1]), "float32\\[1, 3, 4\\], expected floats"),
    ],
)
def test_what_cannot_be_grafted_is_said_in_one_line(act, message):
    with pytest.raises(UsageError, match=message) as caught:
        act()
    assert "\n" not in str(caught.value)


def _apply(model, x=X, own=None):
    return model.apply(own or variables(), x, modulation=TWO[0])
