import jax
import jax.numpy as jnp
import numpy as np
import pytest
import train_toy as toy_run

from taskaware.errors import UsageError
from taskaware.train import sharding

needs_eight = pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")


@needs_eight
@pytest.mark.parametrize(("data", "model"), [(8, 1), (4, 2), (1, 8)])
def test_a_sharded_step_equals_the_unsharded_one(data, model):
    step, state = toy_run.setup("implicit", d_ff=2048)
    batch = toy_run.batch(rows=8)
    expected, expected_metrics = jax.jit(step)(state, batch)
    mesh = sharding.make_mesh(data, model)
    where = sharding.state_sharding(mesh, state)
    with jax.set_mesh(mesh):
        placed = jax.device_put(state, where), sharding.place_batch(mesh, batch)
        found, metrics = jax.jit(step)(*placed)
    kernel = found.params["encoder"][0]["feed_forward"]["up"]["kernel"][...]
    assert len(kernel.sharding.device_set) == 8
    if model > 1:
        assert kernel.addressable_shards[0].data.shape == (16, 2048 // model)
    np.testing.assert_allclose(metrics["loss_N"], expected_metrics["loss_N"], rtol=1e-5)
    # Adam divides by the root of a mean square: near-zero gradients amplify the order of sums,
    # so parameters are compared by their change, whose largest value is the learning rate.
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    np.testing.assert_allclose(
        metrics["gradient_norm"], expected_metrics["gradient_norm"], rtol=1e-4
    )


def test_more_devices_than_there_are_is_a_usage_error():
    with pytest.raises(UsageError, match="lower them"):
        sharding.make_mesh(jax.device_count() + 1, 1)


@needs_eight
def test_minus_one_takes_all_devices_that_model_leaves():
    assert dict(sharding.make_mesh(-1, 2).shape) == {"data": 4, "model": 2}


@needs_eight
def test_large_arrays_are_split_along_their_longest_dimension_that_divides():
    mesh = sharding.make_mesh(4, 2)
    tree = {
        "large": jnp.zeros((130, 301)),
        "odd": jnp.zeros((129, 301)),
        "small": jnp.zeros((4, 4)),
    }
    found = {name: s.spec for name, s in sharding.state_sharding(mesh, tree).items()}
    assert found["large"] == jax.sharding.PartitionSpec("model", None)
    assert found["odd"] == found["small"] == jax.sharding.PartitionSpec()
