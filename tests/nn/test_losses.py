import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from taskaware.nn.losses import cross_entropy_of_stream, smoothed_cross_entropy, stream_health

LOGITS = 3 * jax.random.normal(jax.random.key(0), (2, 4, 7))
TARGET = jnp.array([[1, 2, 3, 0], [6, 5, 4, 3]], jnp.int32)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_the_closed_form_equals_cross_entropy_against_smoothed_labels(smoothing):
    labels = np.asarray(optax.smooth_labels(jax.nn.one_hot(TARGET, 7), smoothing), np.float64)
    scores = np.asarray(LOGITS, np.float64)
    log_p = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    found = smoothed_cross_entropy(LOGITS, TARGET, smoothing)
    # A likely token costs next to nothing: the difference of two scores as large as 6.
    np.testing.assert_allclose(found, -(labels * log_p).sum(-1), rtol=1e-5, atol=1e-5)


def test_equal_scores_cost_the_logarithm_of_the_vocabulary():
    found = smoothed_cross_entropy(jnp.zeros((1, 2, 7)), TARGET[:1, :2], 0.1)
    np.testing.assert_allclose(found, np.log(7), rtol=1e-6)


def test_the_gradient_is_softmax_minus_smoothed_labels():
    found = jax.grad(lambda z: smoothed_cross_entropy(z, TARGET, 0.1).sum())(LOGITS)
    expected = jax.nn.softmax(LOGITS) - optax.smooth_labels(jax.nn.one_hot(TARGET, 7), 0.1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("most", [1, 15, 28, 30, 42, 55, 56])
def test_a_loss_in_parts_is_the_loss_and_no_more_logits_than_asked_stand_at_once(most):
    y, table = LOGITS[..., :5] / 3, LOGITS.reshape(8, 7)[:5].T

    def both(loss):
        return jax.value_and_grad(lambda y, table: (loss(y, table) ** 2).sum(), (0, 1))

    def in_parts(y, table):
        return cross_entropy_of_stream(lambda y: y @ table.T, y, TARGET, 0.1, most)

    expected = both(lambda y, table: smoothed_cross_entropy(y @ table.T, TARGET, 0.1))(y, table)
    found = both(in_parts)(y, table)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected
    )
    widest = re.findall(r"f32\[2,(\d+),7\]", str(jax.make_jaxpr(both(in_parts))(y, table)))
    assert max(map(int, widest)) == max(1, most // 14)


def test_stream_health_of_hand_worked_streams():
    mask = jnp.array([[True, True, False]])
    even = jnp.array([[[3.0, -3.0], [3.0, 3.0], [99.0, 0.0]]])
    rms, participation = stream_health(even, mask)
    assert float(rms) == pytest.approx(3.0)
    assert float(participation) == pytest.approx(1.0)
    one_feature = jnp.array([[[2.0, 0.0], [2.0, 0.0], [0.0, 99.0]]])
    rms, participation = stream_health(one_feature, mask)
    assert float(rms) == pytest.approx(np.sqrt(2.0))
    assert float(participation) == pytest.approx(0.5)
