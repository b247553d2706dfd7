"""Kinds of modulation beside FiLM; oracle: loops over rows, places and units, in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.arrays import normal

from taskaware import (
    Adapter,
    ExplicitTCN,
    Modulation,
    Modulator,
    TCNParam,
    adapt,
    bind,
    graft,
    modulate,
)
from taskaware import linen as taskaware_linen
from taskaware.errors import UsageError

B, T, D, R = 2, 3, 5, 4
KEY = jax.random.key(0)


def adapter(*lead):
    return Adapter(
        normal(*lead, B, D, R), normal(*lead, B, R), normal(*lead, B, R, D), normal(*lead, B, D)
    )


def by_hand(x_D, down, b, up, c):
    """x + V · max(0, W · x + b) + c, number by number."""
    hidden = [max(0.0, sum(x_D[i] * down[i, r] for i in range(D)) + b[r]) for r in range(R)]
    return [x_D[d] + sum(hidden[r] * up[r, d] for r in range(R)) + c[d] for d in range(D)]


@pytest.mark.parametrize("rest", [(), (T,), (T, 2)])
def test_an_adapter_adds_what_a_loop_over_its_units_adds(rest):
    x, own = normal(B, *rest, D), adapter()
    found = adapt(x, own)
    assert found.shape == x.shape
    flat = np.asarray(x, np.float64).reshape(B, -1, D)
    for row in range(B):
        weights = [np.asarray(part[row], np.float64) for part in own]
        for position in range(flat.shape[1]):
            expected = by_hand(flat[row, position], *weights)
            np.testing.assert_allclose(
                found.reshape(flat.shape)[row, position], expected, rtol=1e-5, atol=1e-5
            )


def test_an_adapter_that_adds_nothing_gives_the_input_back_bit_for_bit():
    x = normal(B, T, D).astype(jnp.bfloat16)
    own = adapter()._replace(up_BRD=jnp.zeros((B, R, D)), up_bias_BD=jnp.zeros((B, D)))
    found = adapt(x, own)
    assert found.dtype == jnp.bfloat16
    assert (found == x).all()


def test_per_block_gives_each_place_its_own_stretch_of_the_embedding():
    modulator = Modulator(D, {"encoder": 2, "decoder": 3}, scale="direct", sharing="per_block")
    assert modulator.vector_width == 5 * 2 * D
    embedding = normal(B, modulator.vector_width)
    found = modulator(embedding)
    for place in range(5):
        own = embedding[:, place * 2 * D :]
        np.testing.assert_array_equal(found.gamma_BD[place], own[:, :D])
        np.testing.assert_array_equal(found.beta_BD[place], own[:, D : 2 * D])


@pytest.mark.parametrize("sharing", ["all_blocks", "per_stack", "per_block", "per_block_offset"])
def test_an_embedding_holds_an_adapters_weights_row_by_row(sharing):
    modulator = Modulator(
        D, {"encoder": 1, "decoder": 1}, kind="adapter", sharing=sharing, adapter_width=R
    )
    width = D * R + R + R * D + D
    sets = 2 if sharing in ("per_stack", "per_block") else 1
    assert modulator.vector_width == sets * width
    embedding = normal(B, modulator.vector_width)
    found = modulator(embedding)
    for place in range(2):
        own = np.asarray(embedding[:, place * width :] if sets == 2 else embedding)
        for row in range(B):
            numbers = iter(own[row])
            for part in found.at(place):
                for value in np.asarray(part[row]).flat:
                    assert value == next(numbers)


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_a_mask_leaves_a_task_its_share_of_the_units_at_random_and_does_not_learn(share):
    width, rows = 40, 6
    modulator = Modulator(width, {"encoder": 2, "decoder": 1}, kind="mask", sharing="per_block")
    draw = modulator.kernel_init(open_share=share)
    tcn = ExplicitTCN(rows, width, modulator.vector_width, kernel_init=draw, rngs=nnx.Rngs(0))
    found = modulator(tcn(jnp.arange(rows)))
    assert isinstance(found, Modulation)
    assert set(np.unique(found.gamma_BD)) <= {0.0, 1.0}
    assert (found.gamma_BD.sum(-1) == share * width).all()
    assert (found.beta_BD == 0).all()
    if share < 1:
        masks = np.asarray(found.gamma_BD).reshape(-1, width)
        assert len(np.unique(masks, axis=0)) == 3 * rows  # each task's, at each place, its own
    x = normal(rows, T, width)
    gradient = nnx.grad(lambda t: (modulate(x, modulator(t(jnp.arange(rows))).at(0)) ** 2).sum())(
        tcn
    )
    assert (gradient["kernel_NZ"][...] == 0).all()


@pytest.mark.parametrize("init", ["task_distinct", "zero", "lecun"])
def test_adapters_start_as_their_init_says(init):
    modulator = Modulator(
        32, {"encoder": 1, "decoder": 1}, kind="adapter", sharing="per_block", adapter_width=8
    )
    kernel = modulator.kernel_init(init)(KEY, (50, modulator.vector_width))
    down, down_bias, up, up_bias = modulator(kernel)
    assert np.std(down) == pytest.approx(32**-0.5, rel=0.05)
    assert (down_bias == 0).all()
    assert np.std(up) == pytest.approx(8**-0.5 if init == "lecun" else 0.0, rel=0.05)
    assert np.std(up_bias) == pytest.approx(0.0 if init == "zero" else 0.3, rel=0.1)


def test_offsets_of_adapters_are_parameters_of_the_task_side():
    modulator = Modulator(
        D, {"encoder": 1, "decoder": 1}, kind="adapter", sharing="per_block_offset", adapter_width=R
    )
    assert isinstance(modulator.offset_LZ, TCNParam)
    assert modulator.offset_LZ.shape == (2, D * R + R + R * D + D)


class Net(nnx.Module):
    def __init__(self):
        self.first = nnx.Linear(D, D, rngs=nnx.Rngs(0))
        self.second = nnx.Linear(D, D, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.second(jnp.tanh(self.first(x)))


def test_a_grafted_model_takes_adapters_and_trades_them_for_film_and_back():
    net, x, own = Net(), normal(B, T, D), adapter(2)
    grafted = graft(net, where="first|second")
    places = [own.at(0), own.at(1)]
    expected = adapt(net.second(jnp.tanh(adapt(net.first(x), places[0]))), places[1])
    found = bind(grafted, own)
    np.testing.assert_allclose(found(x), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(found, x), expected, rtol=1e-5, atol=1e-5)
    gamma = Modulation(normal(B, D), normal(B, D))
    film = bind(found, gamma)
    wanted = modulate(net.second(jnp.tanh(modulate(net.first(x), gamma))), gamma)
    np.testing.assert_allclose(film(x), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(bind(film, own)(x), expected, rtol=1e-5, atol=1e-5)


def test_a_grafted_linen_model_takes_adapters():
    from flax import linen as nn

    model, x, own = nn.Dense(D), normal(B, T, D), adapter()
    variables = model.init(KEY, x)
    grafted = taskaware_linen.graft(model, where="")
    found = jax.jit(grafted.apply)(variables, x, modulation=own)
    expected = adapt(model.apply(variables, x), own)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_grafted_stack_of_layers_takes_an_adapter_a_layer():
    states = [nnx.state(nnx.Linear(D, D, rngs=nnx.Rngs(n))) for n in range(3)]
    graphdef = nnx.graphdef(nnx.Linear(D, D, rngs=nnx.Rngs(0)))

    class Stack(nnx.Module):
        def __init__(self):
            self.blocks = nnx.merge(graphdef, jax.tree.map(lambda *x: jnp.stack(x), *states))

        def __call__(self, x):
            return nnx.scan(lambda m, x: m(x), in_axes=(0, nnx.Carry), out_axes=nnx.Carry)(
                self.blocks, x
            )

    x, own = 0.1 * normal(B, T, D), jax.tree.map(lambda leaf: 0.1 * leaf, adapter(3))
    expected = x
    for layer, state in enumerate(states):
        expected = adapt(nnx.merge(graphdef, state)(expected), own.at(layer))
    found = bind(graft(Stack(), where="blocks", stacked="blocks"), own)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_adapter_that_does_not_fit_is_said_in_one_line():
    grafted = graft(Net(), where="first")
    expected = r"\[B, D, R\], \[B, R\], \[B, R, D\], \[B, D\]; found \[2, 5, 4\], \[2, 3\]"
    with pytest.raises(UsageError, match=expected):
        bind(grafted, adapter()._replace(down_bias_BR=normal(B, 3)))
    with pytest.raises(UsageError, match=r"an adapter's down, b, up and c of shape \[B, D\]"):
        bind(grafted, adapter())(normal(1, T, D))
