import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from reference import equations
from support.arrays import normal

from taskaware.nn.layers import (
    FeedForward,
    KeysValues,
    MultiHeadAttention,
    attend,
    causal_mask,
    dropout,
    sinusoids,
)
from taskaware.nn.linear import Linear, transpose_kernels

KEY = jax.random.key(0)


def numbers(module):
    return jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module)))


def attention():
    return MultiHeadAttention(8, 2, dtype=jnp.float32, rngs=nnx.Rngs(0))


def test_attention_equals_the_loop_over_positions_and_heads():
    module, x, memory = attention(), normal(2, 5, 8), normal(2, 3, 8)
    found = module(x, memory, jnp.ones((2, 1, 3), bool))
    for row in range(2):
        expected = equations.attention(
            np.asarray(x[row]), np.asarray(memory[row]), 2, numbers(module), lambda t, s: True
        )
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-5)


def test_a_causal_mask_hides_what_comes_later():
    module, x = attention(), normal(2, 5, 8)
    found = module(x, x, causal_mask(5))
    expected = equations.attention(
        np.asarray(x[0]), np.asarray(x[0]), 2, numbers(module), lambda t, s: s <= t
    )
    np.testing.assert_allclose(found[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_attention_equals_torch_with_the_same_weights():
    torch = pytest.importorskip("torch", reason="needs the extra peers")
    module, x, memory = attention(), normal(2, 5, 8), normal(2, 3, 8)
    mask = np.array([[True, True, False], [True, True, True]])
    peer = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    copy_attention(torch, peer, numbers(module))
    expected, _ = peer(
        *(torch.tensor(np.asarray(a)) for a in (x, memory, memory)),
        key_padding_mask=torch.tensor(~mask),
    )
    found = module(x, memory, jnp.asarray(mask)[:, None])
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5, atol=1e-5)


def copy_attention(torch, peer, weights):
    """Copy our query, key, value and out layers into torch's packed projections."""
    with torch.no_grad():
        names = ("query", "key", "value")
        peer.in_proj_weight.copy_(
            torch.tensor(np.concatenate([weights[n]["kernel"].T for n in names]))
        )
        peer.in_proj_bias.copy_(torch.tensor(np.concatenate([weights[n]["bias"] for n in names])))
        peer.out_proj.weight.copy_(torch.tensor(weights["out"]["kernel"].T))
        peer.out_proj.bias.copy_(torch.tensor(weights["out"]["bias"]))


def test_a_row_with_nothing_to_attend_to_stays_finite():
    q, v = normal(1, 2, 1, 4), normal(1, 1, 3, 4)
    assert jnp.isfinite(
        attend(q, KeysValues(v.swapaxes(2, 3), v), jnp.zeros((1, 1, 3), bool))
    ).all()


def test_the_feed_forward_layer_equals_its_formula():
    module, x = FeedForward(8, 16, dtype=jnp.float32, rngs=nnx.Rngs(0)), normal(2, 3, 8)
    expected = equations.feed_forward(np.asarray(x[1]), numbers(module))
    np.testing.assert_allclose(module(x)[1], expected, rtol=1e-5, atol=1e-5)


def test_bfloat16_rounds_the_operands_and_sums_in_float32():
    exact = Linear(64, 4, dtype=jnp.float32, rngs=nnx.Rngs(0))
    rounded = Linear(64, 4, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    x = normal(3, 64)
    found = rounded(x)
    half_x, half_kernel = (
        np.asarray(a.astype(jnp.bfloat16)).astype(np.float64) for a in (x, exact.kernel[...])
    )
    expected = half_x @ half_kernel
    assert found.dtype == jnp.float32
    # The products of bfloat16 are exact in float32; only the order of the sum differs.
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [3, 70])  # few and many: see are_few
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_layers_with_turned_kernels_do_what_their_originals_do(dtype, rows):
    module = FeedForward(8, 16, dtype=dtype, rngs=nnx.Rngs(0))
    module.up.bias[...] = normal(16)
    x = normal(1, rows, 8)
    expected = module(x)
    transpose_kernels(module)
    assert module.down.kernel_DF.shape == (8, 16)
    np.testing.assert_allclose(module(x), expected, rtol=1e-5, atol=1e-5)


def test_dropout_keeps_the_mean_and_zeroes_its_share():
    found = np.asarray(dropout(jnp.ones((200, 200)), 0.25, KEY))
    assert (found == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert found.mean() == pytest.approx(1.0, abs=0.02)
    assert set(np.unique(found)) == {0.0, np.float32(1 / 0.75)}


def test_no_key_means_no_dropout():
    x = normal(3, 4)
    assert dropout(x, 0.9, None) is x


def test_positions_are_the_sines_and_cosines_of_the_formula():
    found = sinusoids(50, 16)
    for position in (0, 1, 7, 49):
        for pair in range(8):
            angle = position / 10_000 ** (pair / 7)
            assert found[position, pair] == pytest.approx(np.sin(angle), abs=1e-5)
            assert found[position, 8 + pair] == pytest.approx(np.cos(angle), abs=1e-5)
