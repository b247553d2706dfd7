"""Folding γ and β into weights: the same outputs, or a refusal."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from taskaware import Modulation, bind, fold, graft
from taskaware.errors import UsageError
from taskaware.nn.layers import FeedForward, MultiHeadAttention


class Net(nnx.Module):
    """One of each layer that ends in an affine map, and two that share a kernel."""

    def __init__(self, rngs):
        self.linear = nnx.Linear(6, 6, rngs=rngs)
        self.tied = nnx.Linear(6, 6, rngs=rngs)
        self.tied.kernel = self.linear.kernel
        self.conv = nnx.Conv(6, 6, kernel_size=(3,), rngs=rngs)
        self.norm = nnx.LayerNorm(6, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 6, decode=False, rngs=rngs)
        self.own = FeedForward(6, 8, dtype=jnp.float32, rngs=rngs)
        self.heads = MultiHeadAttention(6, 2, dtype=jnp.float32, rngs=rngs)
        self.blocks = stack(rngs)
        self.silent = nnx.Linear(6, 6, use_bias=False, rngs=rngs)
        self.gate = Gate(rngs)

    def __call__(self, x):
        x = self.tied(nnx.relu(self.linear(x)))
        x = self.norm(self.conv(x))
        x = self.own(x + self.attention(x)) + self.heads(x, x, jnp.ones((1, 5, 5), bool))
        x = nnx.scan(
            lambda x, block: nnx.relu(block(x)), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry
        )(x, self.blocks)
        return self.gate(self.silent(x))


class Gate(nnx.Linear):
    """A linear layer that does not end in one."""

    def __init__(self, rngs):
        super().__init__(6, 6, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(super().__call__(x))


def stack(rngs):
    return nnx.vmap(lambda key: nnx.Linear(6, 6, rngs=nnx.Rngs(key)))(jax.random.split(rngs(), 3))


def randomized(model):
    """Fresh biases are 0 and fresh scales are 1, which would hide what is done to them."""
    graphdef, state = nnx.split(model)
    random = np.random.default_rng(0)
    state = jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape) * 0.5, x.dtype), state)
    return nnx.merge(graphdef, state)


@pytest.fixture(scope="module")
def net():
    return randomized(Net(nnx.Rngs(0)))


X = np.random.default_rng(1).normal(size=(2, 5, 6)).astype(np.float32)
PLACES = "linear|tied|conv|norm|attention|own|heads"


def one_task(places, rows=1):
    random = np.random.default_rng(2)
    shape = (1, 6) if places is None else (places, 1, 6)
    gamma, beta = (random.normal(size=shape).astype(np.float32) for _ in range(2))
    return Modulation(*(jnp.repeat(jnp.asarray(x), rows, axis=-2) for x in (gamma, beta)))


@pytest.mark.parametrize(
    ("where", "places"), [(w, None) for w in PLACES.split("|")] + [(PLACES, 7), (PLACES, None)]
)
def test_a_baked_model_does_what_the_bound_one_does(net, where, places):
    grafted = graft(net, where=where)
    bound = bind(grafted, one_task(places, rows=2))(X)
    folded = fold(grafted, one_task(places))
    assert float(jnp.abs(bound - net(X)).max()) > 0.1
    np.testing.assert_allclose(folded(X), bound, atol=1e-5)
    assert all(
        type(m).__name__ and not hasattr(type(m), "_graft_site")
        for _, m in nnx.iter_modules(folded)
    )


def test_the_layers_of_a_stack_take_each_their_own(net):
    grafted = graft(net, where="blocks", stacked="blocks")
    bound = bind(grafted, one_task(3, rows=2))(X)
    np.testing.assert_allclose(fold(grafted, one_task(3))(X), bound, atol=1e-5)


def test_the_grafted_model_stays_as_it_was(net):
    grafted = graft(net, where=PLACES)
    before = jax.tree.map(np.array, nnx.state(grafted))
    fold(grafted, one_task(None))
    jax.tree.map(np.testing.assert_array_equal, before, nnx.state(grafted))


def test_without_bias_gamma_alone_is_folded(net):
    grafted = graft(net, where="silent")
    gamma = Modulation(one_task(None).gamma_BD, jnp.zeros((1, 6)))
    both = Modulation(*(jnp.repeat(x, 2, axis=0) for x in gamma))
    np.testing.assert_allclose(fold(grafted, gamma)(X), bind(grafted, both)(X), atol=1e-5)
    with pytest.raises(UsageError, match="fold: 'silent': Linear has no bias to take β"):
        fold(grafted, one_task(None))


def test_what_is_not_exact_is_refused(net):
    with pytest.raises(
        UsageError, match="'gate': expected a layer that ends in an affine map, found Gate"
    ):
        fold(graft(net, where="gate"), one_task(None))
    with pytest.raises(UsageError, match="expected γ and β of one row, found 2"):
        fold(graft(net, where="linear"), one_task(None, rows=2))
    with pytest.raises(UsageError, match="'linear': expected"):
        fold(graft(net, where="linear", output=0), one_task(None))
