"""Which modules and which of their outputs are modulated, and what cannot be."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from support.grafted import TWO, B, D, L, Net, Stack, X, assert_close, grafted, modulation

from taskaware import FiLM, Modulation, bind, film, graft, sites_of
from taskaware.errors import UsageError


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
