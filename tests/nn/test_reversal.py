import jax
import jax.numpy as jnp
import numpy as np
import pytest

from taskaware.nn.reversal import reversal_rate, reverse_gradient


@pytest.mark.parametrize(("rate", "of_encoder"), [(0.0, 0.0), (0.5, -9.0), (1.0, -18.0)])
def test_the_head_learns_what_the_encoder_unlearns(rate, of_encoder):
    """h = a x, L = (b h)² / 2 with a = 2, b = 3, x = 1: ∂L/∂b = b h² = 12, ∂L/∂a = b² h = 18."""

    def loss(a, b, rate):
        return 0.5 * (b * reverse_gradient(a * 1.0, rate)) ** 2

    value, gradients = jax.value_and_grad(loss, (0, 1, 2))(2.0, 3.0, jnp.float32(rate))
    assert float(value) == 18.0
    assert [float(g) for g in gradients] == [of_encoder, 12.0, 0.0]


def test_nothing_changes_on_the_way_forward():
    x = jnp.array([[0.1, -0.0, 3e38], [jnp.inf, -7.0, 1e-40]])
    for dtype in (jnp.float32, jnp.bfloat16):
        found = reverse_gradient(x.astype(dtype), 0.3)
        assert found.dtype == dtype
        assert np.asarray(found).tobytes() == np.asarray(x.astype(dtype)).tobytes()


def test_gradients_keep_their_type():
    x = jnp.ones((2, 3), jnp.bfloat16)
    found = jax.grad(lambda x: reverse_gradient(x, jnp.float32(0.5)).sum())(x)
    assert found.dtype == jnp.bfloat16
    assert found.tolist() == [[-0.5] * 3] * 2


def test_a_new_rate_needs_no_new_program():
    gradient = jax.jit(jax.grad(lambda x, rate: reverse_gradient(x, rate) ** 2))
    assert [float(gradient(1.0, jnp.float32(rate))) for rate in (0.0, 0.25, 1.0)] == [
        0.0,
        -0.5,
        -2.0,
    ]
    assert gradient._cache_size() == 1


def test_a_second_derivative_goes_through_as_in_maml():
    """d/dx of -λ · 3 x² is -λ · 6 x, and what reached it through x is reversed as well."""

    def inner(x):
        return jax.grad(lambda y: reverse_gradient(y, 0.5) ** 3)(x)

    assert float(inner(jnp.float32(2.0))) == -6.0
    assert float(jax.grad(inner)(jnp.float32(2.0))) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("progress", "rate"),
    [(0.0, 0.0), (0.1, 0.462117), (0.25, 0.848284), (0.5, 0.986614), (1.0, 0.999909)],
)
def test_the_rate_rises_as_ganin_et_al_have_it(progress, rate):
    assert float(reversal_rate(progress)) == pytest.approx(rate, abs=1e-6)
    assert float(reversal_rate(progress)) == pytest.approx(
        2 / (1 + np.exp(-10 * progress)) - 1, abs=1e-6
    )
