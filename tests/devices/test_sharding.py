import dataclasses
import re
import typing
from collections import Counter
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import PartitionSpec
from support import train_toy as toy_run

from taskaware.config import FiLMConfig, Meta, ModelConfig
from taskaware.config.heads import (
    CTCConfig,
    DecoderConfig,
    FramesConfig,
    LabelConfig,
    NumberConfig,
    TagsConfig,
    Wiring,
)
from taskaware.devices import sharding
from taskaware.errors import UsageError
from taskaware.models.building import abstract, build
from taskaware.training.joint import joint_step
from taskaware.training.maml import maml_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import initial_state

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")

VOCABULARY = 1024
"""No other array has an axis of this length."""
MESHES = [
    pytest.param((8, 1, 1), marks=pytest.mark.variants),
    pytest.param((1, 8, 1), marks=pytest.mark.long),
    (2, 2, 2),
]


class Compiled(NamedTuple):
    step: jax.stages.Compiled
    state: object
    batch: object


def compiled(conditioning, *shape, **changes):
    """A step of SGD, compiled for a mesh; for one device where there is none.

    Not of Adam, which divides a gradient that is zero but for rounding by its own size.
    """
    config = dataclasses.replace(
        toy_run.MODEL,
        conditioning=conditioning,
        dropout=0.0,  # it is drawn by where a row stands, which the devices decide
        d_model=128,
        num_heads=8,
        d_ff=256,
        **changes,
    )
    net, sgd = build(config, VOCABULARY, toy_run.TASKS, speech=True, seed=0), optax.sgd(0.1)
    step = jax.jit(joint_step(nnx.graphdef(net), sgd, Objective(0.1)))
    state, batch = initial_state(nnx.state(net), sgd, 0), toy_run.batch(rows=16)
    if not shape:
        return Compiled(step.lower(state, batch).compile(), state, batch)
    mesh = sharding.make_mesh(*shape)
    with jax.set_mesh(mesh):
        state = jax.device_put(state, sharding.state_sharding(mesh, state))
        batch = sharding.place_batch(mesh, batch)
        return Compiled(step.lower(state, batch).compile(), state, batch)


@pytest.fixture(
    scope="module", params=["explicit", pytest.param("implicit", marks=pytest.mark.long)]
)
def conditioning(request):
    return request.param


@pytest.fixture(scope="module")
def alone(conditioning):
    return compiled(conditioning)


@pytest.fixture(scope="module", params=MESHES, ids=str)
def split(request, conditioning):
    return request.param, compiled(conditioning, *request.param)


def collectives(step):
    """How often the compiled step has each kind of message, and the shapes that are gathered."""
    kinds = "all-gather|all-reduce|reduce-scatter|all-to-all|collective-permute"
    found = re.findall(rf"= (.*) ({kinds})(?:-start)?\(", step.as_text())
    gathered = [shape for shape, kind in found if kind == "all-gather"]
    return Counter(kind for _, kind in found), gathered


def test_a_step_over_a_mesh_is_the_step_on_one_device(alone, split):
    _, (step, state, batch) = split
    expected, expected_metrics = alone.step(*alone[1:])
    found, metrics = step(state, batch)
    for name in ("loss_N", "gradient_norm"):
        np.testing.assert_allclose(metrics[name], expected_metrics[name], rtol=1e-5)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_each_device_holds_its_part_of_the_weights_and_needs_less_memory(alone, split):
    (_, fsdp, tensor), (step, state, _) = split
    after, _ = step(*split[1][1:])
    for held in (state, after):
        block = held.params["encoder"][0]
        up = block["feed_forward"]["up"]["kernel"][...].addressable_shards[0].data.shape
        down = block["feed_forward"]["down"]["kernel"][...].addressable_shards[0].data.shape
        query = block["attention"]["query"]["kernel"][...].addressable_shards[0].data.shape
        table = held.params["embedding"]["table_VD"][...].addressable_shards[0].data.shape
        assert up == (128 // fsdp, 256 // tensor)
        assert down == (256 // tensor, 128 // fsdp)
        assert query == (128 // fsdp, 128 // tensor)
        assert table == (VOCABULARY // (fsdp * tensor), 128)
    whole, part = (made.step.memory_analysis() for made in (alone, split[1]))
    kernels = sum(leaf.nbytes for leaf in jax.tree.leaves(alone.state.params) if leaf.size >= 2**14)
    given = whole.argument_size_in_bytes - kernels * (1 - 1 / (fsdp * tensor))
    assert part.argument_size_in_bytes < 1.05 * given
    assert part.temp_size_in_bytes < 0.5 * whole.temp_size_in_bytes


def test_only_the_expected_messages_are_sent(split):
    (_, fsdp, tensor), (step, _, _) = split
    kinds, gathered = collectives(step)
    assert kinds["all-reduce"]
    # Never the embedding: each device has its own words' scores, and their sums travel.
    assert not [shape for shape in gathered if str(VOCABULARY) in shape]
    if fsdp == tensor == 1:  # no weight is moved
        assert not [shape for shape in gathered if "128,256" in shape or "128,128" in shape]


@pytest.mark.parametrize(
    ("conditioning", "strategy"),
    [
        pytest.param("vanilla", "joint", marks=pytest.mark.variants),
        pytest.param("explicit", "joint", marks=pytest.mark.variants),
        ("implicit", "joint"),
        pytest.param("explicit", "maml", marks=pytest.mark.long),
        pytest.param("implicit", "maml", marks=pytest.mark.long),
    ],
)
def test_no_row_goes_to_another_device(conditioning, strategy):
    """Rows of speech and text are joined where they are, and dropout is drawn there."""
    net = toy_run.model(conditioning, dropout=0.1)
    graphdef, sgd = nnx.graphdef(net), optax.sgd(0.1)
    step = joint_step(graphdef, sgd, Objective(0.1))
    if strategy == "maml":
        step = maml_step(graphdef, sgd, Objective(0.1), dict.fromkeys(toy_run.TASKS, 0.1), Meta())
    mesh = sharding.make_mesh(8)
    with jax.set_mesh(mesh):
        state = initial_state(nnx.state(net), sgd, 0)
        state = jax.device_put(state, sharding.state_sharding(mesh, state))
        batch = sharding.place_batch(mesh, toy_run.batch(rows=16))
        kinds, gathered = collectives(jax.jit(step).lower(state, batch).compile())
    assert kinds["all-reduce"]
    assert not kinds["all-to-all"] and not kinds["collective-permute"]
    if strategy == "joint":  # of numbers, every device is sent the implicit TCN's vectors alone
        sent = [shape.partition("{")[0] for shape in gathered if shape.startswith("f32")]
        assert sent == (["f32[48,32]"] if conditioning == "implicit" else [])


def test_a_loop_over_blocks_that_computes_again_is_split_too(alone, conditioning):
    found = compiled(conditioning, 2, 2, 2, scan=True, remat="full")
    a, b = (made.step(*made[1:])[0].params for made in (alone, found))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), a, b)


def test_the_optimizer_s_numbers_lie_where_their_parameters_do():
    net = build(toy_run.MODEL, VOCABULARY * 2, toy_run.TASKS, speech=True, seed=0)
    state = initial_state(nnx.state(net), make_optimizer(toy_run.OPTIMIZER, 16), 0)
    where = sharding.state_sharding(sharding.make_mesh(2, 2, 2), state)
    found = jax.tree.leaves(jax.tree.map(lambda s: s.spec, where, is_leaf=is_sharding))
    expected = PartitionSpec(("tensor", "fsdp"), None)
    assert found.count(expected) == 3  # the embedding's, and Adam's two of it


FILM = {
    "implicit": [{"placement": "norm", "sharing": "per_block_offset"}, {"sharing": "per_block"}],
    "explicit": [{"kind": "adapter", "sharing": "per_block_offset"}, {"kind": "mask"}],
}


EVERY_HEAD = Wiring(
    (
        DecoderConfig(layers=1),
        CTCConfig(rate=3),
        LabelConfig(name="speaker", pooling="attention"),
        TagsConfig(name="slots"),
        FramesConfig(name="sounds"),
        NumberConfig(name="age", pooling="attention"),
    ),
    (None, None, 40, 40, 40, 1),
    tuple(["decoder", "ctc", "speaker", "slots", "sounds", "age", "decoder", "ctc"] * 5),
)


def test_of_every_large_parameter_it_is_written_how_it_lies():
    """Nothing is large and copied to every device because nobody has thought of it."""
    paths, large = set(), set()
    for conditioning in typing.get_args(typing.get_type_hints(ModelConfig)["conditioning"]):
        for injection in ("film", "input"):
            for film in [{}, *FILM.get(conditioning, [])]:
                small = {"encoder_layers": 1, "decoder_layers": 1, "film": FiLMConfig(**film)}
                config = ModelConfig(conditioning=conditioning, injection=injection, **small)
                tokens = [(f"<{n}>", "<translate>") for n in range(40)]
                names = [f"task {n}" for n in range(40)]
                told = {"task_tokens": tokens, "wiring": EVERY_HEAD}
                shapes = abstract(config, 32_000, names, speech=True, **told)
                for words, leaf in nnx.to_flat_state(nnx.state(shapes)):
                    path = " ".join(map(str, words))
                    paths.add(path)
                    large |= {path} if leaf.size >= 2**14 else set()
    rows = [*sharding.PARAMETERS, *sharding.REPLICATED]
    fitting = {path: [row for row in rows if re.search(rf"\b{row}$", path)] for path in paths}
    assert len(large) > 20
    assert [path for path in large if len(fitting[path]) != 1] == []
    assert set(rows) == {row for path in paths for row in fitting[path]}  # none is left over


def is_sharding(leaf):
    return isinstance(leaf, jax.sharding.Sharding)


def test_what_does_not_divide_is_split_less_or_not_at_all():
    mesh = sharding.make_mesh(1, 4, 2)
    tree = {
        "up": {"kernel": jnp.zeros((130, 302))},
        "down": {"kernel": jnp.zeros((301, 132))},
        "table_VD": jnp.zeros((2050, 16)),
        "out": {"kernel": jnp.zeros((8, 8))},
    }
    found = jax.tree.map(lambda s: s.spec, sharding.state_sharding(mesh, tree), is_leaf=is_sharding)
    assert found["up"]["kernel"] == PartitionSpec(None, ("tensor",))
    assert found["down"]["kernel"] == PartitionSpec(None, ("fsdp",))
    assert found["table_VD"] == PartitionSpec(("tensor",), None)
    assert found["out"]["kernel"] == PartitionSpec()  # too small


def test_more_devices_than_there_are_is_a_usage_error():
    with pytest.raises(UsageError, match="lower them"):
        sharding.make_mesh(jax.device_count() + 1)


def test_minus_one_takes_all_devices_that_the_others_leave():
    assert sharding.make_mesh(None, 2).devices.shape == (4, 2, 1)
    assert sharding.make_mesh(None, 2, 2).devices.shape == (2, 2, 2)
