import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import train_toy as toy_run
from flax import nnx

from taskaware.errors import UsageError
from taskaware.model.seq2seq import build
from taskaware.train import sharding
from taskaware.train.joint import joint_step
from taskaware.train.state import initial_state

needs_eight = pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")


@needs_eight
@pytest.mark.parametrize(("data", "model"), [(8, 1), (4, 2), (1, 8)])
def test_a_sharded_step_equals_the_unsharded_one(data, model):
    # SGD: Adam divides a gradient that is zero but for rounding by its own size.
    config = dataclasses.replace(toy_run.MODEL, conditioning="implicit", d_ff=2048)
    net, sgd = build(config, toy_run.V, 3, speech=True, seed=0), optax.sgd(0.1)
    step, state = joint_step(net, sgd, 0.1, 3), initial_state(nnx.state(net), sgd, 0)
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
    for name in ("loss_N", "gradient_norm"):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


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
