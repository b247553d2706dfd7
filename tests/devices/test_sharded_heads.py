"""Models of many heads over eight devices."""

import dataclasses
import functools
import re

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from support import mixed_heads
from support.mixed_heads import NAMES, TASKS, batch, model

from taskaware.config import Decoding
from taskaware.devices import sharding
from taskaware.models.building import abstract_for
from taskaware.search.model import make_search
from taskaware.training.joint import joint_step
from taskaware.training.objective import Objective
from taskaware.training.state import initial_state

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")

HOW = Objective(0.1, None, tuple(task.ctc_weight for task in TASKS), (0.7,) * len(TASKS), 0)


def compiled(conditioning, mesh=None):
    """A step of SGD, its state and a batch; for one device where there is no mesh."""
    net, sgd = model(conditioning, d_model=128, num_heads=8, d_ff=128), optax.sgd(0.1)
    step = jax.jit(joint_step(nnx.graphdef(net), sgd, HOW))
    state, rows = initial_state(nnx.state(net), sgd, 0), batch(rows=8)
    if mesh is None:
        return step.lower(state, rows).compile(), state, rows
    with jax.set_mesh(mesh):
        state = jax.device_put(state, sharding.state_sharding(mesh, state))
        rows = sharding.place_batch(mesh, rows)
        return step.lower(state, rows).compile(), state, rows


@functools.cache
def alone(conditioning):
    step, *given = compiled(conditioning)
    return step(*given)


@pytest.mark.parametrize(
    ("shape", "conditioning"),
    [
        ((8, 1, 1), "vanilla"),
        pytest.param((2, 2, 2), "vanilla", marks=pytest.mark.long),
        pytest.param((8, 1, 1), "implicit", marks=pytest.mark.long),
        pytest.param((2, 2, 2), "explicit", marks=pytest.mark.long),
    ],
)
def test_a_step_of_all_heads_over_a_mesh_is_the_step_on_one_device(shape, conditioning):
    step, *given = compiled(conditioning, sharding.make_mesh(*shape))
    (found, metrics), (expected, alike) = step(*given), alone(conditioning)
    for name in ("loss_N", "tokens_N", "gradient_norm"):
        np.testing.assert_allclose(metrics[name], alike[name], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    if shape == (8, 1, 1):  # no row goes to another device
        assert not re.search(r"(all-to-all|collective-permute)(-start)?\(", step.as_text())
        assert re.search(r"all-reduce(-start)?\(", step.as_text())


def test_a_ctc_head_of_a_large_vocabulary_lies_in_parts():
    mesh = sharding.make_mesh(2, 2, 2)
    shapes = abstract_for(
        mixed_heads.tasks_named("speller"), dataclasses.replace(mixed_heads.CONFIG, heads=()), 2**15
    )
    scores = nnx.state(shapes)["heads"]["ctc"]["scores"]
    where = sharding.state_sharding(mesh, nnx.state(shapes))["heads"]["ctc"]["scores"]
    parts = [where[n].get_raw_value().shard_shape(scores[n].shape) for n in ("kernel", "bias")]
    assert parts == [(16, 2**13), (2**13,)]


@pytest.mark.parametrize("task", ["asr", "speller", "intent", "vad", "slots", "age"])
def test_a_search_split_over_devices_answers_as_one_that_is_not(task):
    m, rows = model("vanilla"), batch(rows=8)[task]
    decoding = Decoding(beam_size=2, extra_length=2)
    kind = {"head": m.head_of(task), "ctc_weight": TASKS[NAMES.index(task)].ctc_weight}
    whole, split = (
        np.asarray(make_search(m, decoding, split=s, **kind)(rows.source, None, max_length=4))
        for s in (False, True)
    )
    if whole.dtype == np.float32:
        np.testing.assert_allclose(split, whole, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_array_equal(split, whole)
    assert len(whole) == 8
