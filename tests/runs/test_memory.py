"""The largest batch that fits; oracle: every size compiled, one after another."""

import dataclasses

import jax
import pytest
from flax import nnx
from support.command_line import get_ready, refused, taskaware, tiny

from taskaware.data.batches import training_batches
from taskaware.data.blanks import blank_batches
from taskaware.devices.sharding import make_mesh, place_batch, row_parts, state_sharding
from taskaware.files.strict_json import to_json
from taskaware.runs.folder import Run
from taskaware.runs.memory import fit
from taskaware.training.compiling import jit_step
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import initial_state
from taskaware.training.strategy import batching_over, step_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    get_ready(folder)
    return folder


def experiment(folder, **changes):
    whole = tiny(folder)
    batching = dataclasses.replace(whole.batching, **changes.pop("batching", {}))
    return dataclasses.replace(whole, batching=batching, **changes)


def shapes(batches):
    """Of all arrays, with the tasks and kinds of sources whose they are."""
    return {
        (jax.tree.structure(batch), *[leaf.shape for leaf in jax.tree.leaves(batch)])
        for batch in batches
    }


@pytest.mark.parametrize("mixing", ["all_tasks", "one_task"])
@pytest.mark.parametrize("unit", ["examples", "tokens"])
def test_blank_batches_have_the_shapes_tasks_and_types_of_those_that_train(folder, mixing, unit):
    size = 24 if unit == "tokens" else 3
    given = experiment(
        folder, batching={"mixing": mixing, "unit": unit, "size": size, "buckets": 2}
    )
    run = Run.start(given, folder / f"{mixing}{unit}")
    tasks = run.examples("train")
    options = {"stride": given.model.stride, "multiple": 2, "only": (0, 2)}
    blank = blank_batches(tasks, given.batching, **options)
    stream = training_batches(tasks, given.batching, seed=0, **options)
    real = [next(stream) for _ in range(24)]
    assert shapes(blank) == shapes(real)
    kinds = {leaf.dtype for batch in real for leaf in jax.tree.leaves(batch)}
    assert {leaf.dtype for batch in blank for leaf in jax.tree.leaves(batch)} == kinds
    assert all(0 in leaf.strides for batch in blank for leaf in jax.tree.leaves(batch))


def needed(given, run, mesh, size):
    """What the step of each real batch takes on a device: compiled for arrays that are there."""
    sized = dataclasses.replace(given, batching=dataclasses.replace(given.batching, size=size))
    model = run.fresh_model()
    optimizer = make_optimizer(given.optimizer, given.model.d_model)
    state = initial_state(nnx.state(model), optimizer, 0)
    where = state_sharding(mesh, state)
    step = jit_step(step_of(sized, model), (where, None))
    batching, multiple = batching_over(sized, row_parts(mesh))
    batches = training_batches(
        run.examples("train"), batching, seed=0, stride=given.model.stride, multiple=multiple
    )
    most = 0
    with jax.set_mesh(mesh):
        state = jax.device_put(state, where)
        for batch in (next(batches) for _ in range(2 * batching.buckets)):
            memory = step.lower(state, place_batch(mesh, batch)).compile().memory_analysis()
            total = memory.argument_size_in_bytes + memory.temp_size_in_bytes
            total += memory.output_size_in_bytes - memory.alias_size_in_bytes
            most = max(most, total)
    return most


@pytest.mark.parametrize(
    ("devices", "strategy"),
    [(2, "joint"), (1, "joint"), (1, "maml")],
)
@pytest.mark.long  # compiles a size after another
def test_the_size_that_is_found_fits_and_the_next_does_not(folder, devices, strategy):
    given = experiment(folder, mesh_data=devices, strategy=strategy, batching={"buckets": 2})
    run = Run.start(given, folder / f"{devices}{strategy}")
    mesh = make_mesh(devices)
    limit = needed(given, run, mesh, 6 * devices) + 1000
    found = fit(given, run.tokenizer, limit)
    assert found.limit == limit
    assert needed(given, run, mesh, found.size) == max(found.bytes_by_shape.values()) <= limit
    assert needed(given, run, mesh, found.size + devices) > limit
    assert len(found.bytes_by_shape) == 2


def vanilla(folder):
    """An experiment of which a step is soon compiled."""
    return experiment(folder, model=dataclasses.replace(tiny(folder).model, conditioning="vanilla"))


def test_where_not_even_one_example_fits_it_says_so(folder):
    (folder / "e.json").write_text(to_json(vanilla(folder)))
    message = refused(taskaware("fit", folder / "e.json", "--memory-gib", "1e-6"))
    assert message.startswith("batching.size: not even 1 fits into 0.00 GiB (it takes ")


def test_the_command_prints_what_to_set(folder):
    (folder / "e.json").write_text(to_json(vanilla(folder)))
    outcome = taskaware("fit", folder / "e.json", "--memory-gib", "0.0005")
    assert outcome.code == 0, outcome.err
    size = int(outcome.out.splitlines()[-1].removeprefix("--batching.size "))
    assert size >= 1
    trained = taskaware("train", folder / "e.json", "--out", folder / "r", "--batching.size", size)
    assert trained.code == 0
    assert Run.open(folder / "r").experiment.batching.size == size
    assert "expected a positive" in refused(taskaware("fit", folder / "e.json", "--memory-gib", -1))
