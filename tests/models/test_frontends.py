import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from taskaware.config import ModelConfig
from taskaware.models.frontends import SpeechFrontend, StridedConv, TokenEmbedding

KEY = jax.random.key(0)


def frontend(num_layers=3):
    return SpeechFrontend(
        12, channels=(4, 3, 5, 2)[:num_layers], dtype=jnp.float32, rngs=nnx.Rngs(0)
    )


@pytest.mark.parametrize("shape", [(2, 8, 10, 1), (2, 7, 5, 3), (1, 1, 1, 2)])
def test_the_convolution_and_its_gradients_equal_those_of_lax_conv(shape):
    """With a gradient, and with one of that, it is computed in another way than without."""
    module = StridedConv(shape[-1], 6, dtype=jnp.float32, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(module)
    x = jax.random.normal(KEY, shape)

    def own(x, params):
        return nnx.merge(graphdef, params)(x)

    def lax_conv(x, params):
        y = lax.conv_general_dilated(
            x,
            params["kernel"][...].reshape(3, 3, shape[-1], 6),
            (2, 2),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        # With even lengths the last window reaches one short of the right padding: same windows.
        y = y[:, : -(-shape[1] // 2), : -(-shape[2] // 2)]
        return jax.nn.relu(y + params["bias"][...][None, None, None])

    def first(way):
        return jax.grad(lambda *given: (way(*given) ** 3).sum(), (0, 1))

    def second(way):
        def squares(*given):
            return sum((g**2).sum() for g in jax.tree.leaves(first(way)(*given)))

        return jax.grad(squares, (0, 1))

    for of in (lambda way: way, first, second):
        leaves = (jax.tree.leaves(jax.jit(of(way))(x, params)) for way in (own, lax_conv))
        for found, expected in zip(*leaves, strict=True):
            scale = float(jnp.abs(expected).max())
            assert scale > 0
            np.testing.assert_allclose(found / scale, expected / scale, rtol=1e-5, atol=1e-5)


def test_a_convolution_in_bfloat16_rounds_the_operands_and_sums_in_float32():
    module = StridedConv(3, 6, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    exact = StridedConv(3, 6, dtype=jnp.float32, rngs=nnx.Rngs(0))
    kernel = exact.kernel
    kernel[...] = kernel[...].astype(jnp.bfloat16).astype(jnp.float32)
    x = jax.random.normal(KEY, (2, 9, 7, 3))
    found = module(x)
    assert found.dtype == jnp.float32
    expected = exact(x.astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_the_convolution_equals_torch():
    torch = pytest.importorskip("torch", reason="needs the extra peers")
    module = StridedConv(3, 6, dtype=jnp.float32, rngs=nnx.Rngs(0))
    x = np.asarray(jax.random.normal(KEY, (2, 9, 7, 3)))
    kernel = np.asarray(module.kernel[...]).reshape(3, 3, 3, 6)
    expected = torch.nn.functional.conv2d(
        torch.tensor(x).permute(0, 3, 1, 2),
        torch.tensor(kernel).permute(3, 2, 0, 1),
        stride=2,
        padding=1,
    )
    expected = expected.relu().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(module(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 40])
@pytest.mark.parametrize(("layers", "stride"), [(2, 4), (3, 8), (4, 16)])
def test_frames_become_positions_by_the_stride_rounded_up(frames, layers, stride):
    assert ModelConfig(cnn_channels=(4,) * layers).stride == stride
    x, mask = frontend(layers)(jnp.zeros((1, 40, 80)), jnp.array([frames]))
    assert x.shape == (1, -(-40 // stride), 12)
    assert int(mask.sum()) == -(-frames // stride)


def test_padding_frames_never_change_the_positions_of_speech():
    speech = jax.random.normal(KEY, (2, 19, 80))
    length = jnp.array([19, 13])
    bare, mask = frontend()(speech, length)
    noisy = jnp.concatenate([speech, jnp.full((2, 30, 80), 1e3)], axis=1)
    noisy = noisy.at[1, 13:].set(-1e3)
    padded, padded_mask = frontend()(noisy, length)
    assert int(padded_mask.sum()) == int(mask.sum())
    np.testing.assert_allclose(padded[0, :3], bare[0, :3], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(padded[1, :2], bare[1, :2], rtol=1e-5, atol=1e-5)


def test_tokens_are_rows_of_the_table_times_the_root_of_the_width():
    module = TokenEmbedding(10, 16, dtype=jnp.float32, rngs=nnx.Rngs(0))
    table = np.asarray(module.table_VD[...])
    found = module(jnp.array([[3, 0, 9]]))
    np.testing.assert_allclose(found[0, 0], 4 * table[3], rtol=1e-6)
    np.testing.assert_array_equal(found[0, 1], np.zeros(16))
    y = jax.random.normal(KEY, (2, 3, 16))
    np.testing.assert_allclose(module.logits(y), np.asarray(y) @ table.T, rtol=1e-4, atol=1e-5)
