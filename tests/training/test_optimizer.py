import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from taskaware.config import OptimizerConfig
from taskaware.training.optimizer import inverse_sqrt, make_optimizer


def rate(step, **changes):
    """Learning rate of the update of that number, counting from 1."""
    return float(inverse_sqrt(OptimizerConfig(**changes), 512)(jnp.int32(step - 1)))


def test_the_schedule_of_table_8_peaks_at_6_99e_4_and_ends_at_1_14e_4():
    assert rate(16_000) == pytest.approx(6.99e-4, rel=1e-3)
    assert rate(600_000) == pytest.approx(1.14e-4, rel=2e-3)
    assert max(rate(step) for step in (1, 8_000, 15_999, 16_001, 20_000)) < rate(16_000)


@pytest.mark.parametrize("step", [1, 10, 100, 101, 5_000])
def test_the_schedule_is_the_published_formula(step):
    warmup, factor = 100, 2.0
    expected = factor * 512**-0.5 * min(1.0, step / warmup) / np.sqrt(max(step, warmup))
    assert rate(step, warmup_steps=warmup) == pytest.approx(expected, rel=1e-6)


def run(optimizer, gradients, start):
    params, state = start, optimizer.init(start)
    for gradient in gradients:
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
    return params


def test_an_update_is_adam_s_with_these_betas_after_clipping():
    config = OptimizerConfig(warmup_steps=2, clip_norm=1.0)
    gradients = [np.array([3.0, 4.0]), np.array([0.3, -0.4])]
    params, m, v = np.array([1.0, 2.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(gradients, 1):
        clipped = gradient / max(1.0, np.linalg.norm(gradient))
        m, v = 0.9 * m + 0.1 * clipped, 0.997 * v + 0.003 * clipped**2
        scale = 2.0 * 512**-0.5 * min(1, step / 2) / np.sqrt(max(step, 2))
        unbiased = m / (1 - 0.9**step), v / (1 - 0.997**step)
        params = params - scale * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-9)
    found = run(make_optimizer(config, 512), map(jnp.asarray, gradients), jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(found, params, rtol=1e-5)


def test_accumulated_gradients_make_the_update_of_their_mean():
    parts = [jnp.array([1.0, -2.0]), jnp.array([3.0, 0.0]), jnp.array([-1.0, 0.5])]
    start = jnp.array([1.0, 2.0])
    whole = run(make_optimizer(OptimizerConfig(), 512), [sum(parts) / 3], start)
    optimizer = make_optimizer(OptimizerConfig(accumulate=3), 512)
    assert (run(optimizer, parts[:2], start) == start).all()
    np.testing.assert_allclose(run(optimizer, parts, start), whole, rtol=1e-6)


def test_the_schedule_is_computed_on_the_device():
    """The schedule is traced: one program serves all steps."""
    lowered = jax.jit(inverse_sqrt(OptimizerConfig(), 512)).lower(jnp.int32(3))
    assert "callback" not in lowered.as_text()
