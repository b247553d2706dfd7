import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import train_toy as toy_run
from support.saved import restore, save
from support.saver import ABOUT, small

from taskaware.devices.sharding import make_mesh, state_sharding
from taskaware.errors import RunError, UsageError
from taskaware.training import checkpoint
from taskaware.training.checkpoint import Checkpoints


def trained(steps=3, start=None):
    step, state = toy_run.setup()
    state = start or state
    where = state_sharding(make_mesh(), state)
    for _ in range(steps):
        # As if restored, whether it was or not: arrays that lie elsewhere compile another step.
        state = jax.device_put(state, where)
        state, metrics = step(state, toy_run.batch(int(state.step)))
    return state, metrics


@functools.cache
def straight():
    """The state after six steps without a pause, and what the last of them reports."""
    return trained(6)


def test_saving_and_restoring_is_no_pause_bit_for_bit(tmp_path):
    expected, metrics = straight()
    save(tmp_path, trained(3)[0])
    middle, step = restore(tmp_path)
    assert step == 3
    resumed, resumed_metrics = trained(3, start=middle)
    for a, b in zip(jax.tree.leaves(expected.params), jax.tree.leaves(resumed.params), strict=True):
        assert np.array_equal(a, b)
    for name, value in metrics.items():
        assert np.array_equal(value, resumed_metrics[name])


@pytest.mark.parametrize("forgotten", ["opt_state", "key", "step"])
def test_forgetting_any_part_of_the_state_would_show(forgotten, tmp_path):
    """The test above has teeth: without optimizer, randomness or position it would fail."""
    expected, _ = straight()
    save(tmp_path, trained(3)[0])
    middle, _ = restore(tmp_path)
    fresh = toy_run.setup()[1]._replace(key=jax.random.key(99))
    mutant, _ = trained(3, start=middle._replace(**{forgotten: getattr(fresh, forgotten)}))
    pairs = zip(jax.tree.leaves(expected.params), jax.tree.leaves(mutant.params), strict=True)
    assert not all(np.array_equal(a, b) for a, b in pairs)


def test_the_newest_steps_are_kept(tmp_path):
    state = toy_run.setup()[1]
    save(tmp_path, *(state._replace(step=jnp.int32(step)) for step in (1, 2, 3)))
    assert Checkpoints(tmp_path, 2).steps() == (2, 3)
    assert not (tmp_path / "1").exists() and (tmp_path / "2").exists()


def test_as_many_are_kept_as_are_asked_for(tmp_path):
    state = toy_run.setup()[1]
    save(tmp_path, *(state._replace(step=jnp.int32(step)) for step in (1, 2, 3)), keep=3)
    assert Checkpoints(tmp_path, 3).steps() == (1, 2, 3)


def test_the_best_step_is_kept_besides_the_newest_and_known_to_whoever_opens_the_folder(tmp_path):
    state, kept = toy_run.setup()[1], []
    for step, loss in enumerate((3.0, None, 1.0, 2.0, 1.0, None, 0.5, 4.0), 1):
        checkpoints = Checkpoints(tmp_path, 2)
        checkpoints.save(state._replace(step=jnp.int32(step)), ABOUT, loss)
        checkpoints.close()
        found = Checkpoints(tmp_path, 2)
        kept.append((found.best(), found.steps()))
    assert kept == [
        (1, (1,)),
        (1, (1, 2)),
        (3, (2, 3)),
        (3, (3, 4)),
        (3, (3, 4, 5)),
        (3, (3, 5, 6)),
        (7, (6, 7)),
        (7, (7, 8)),
    ]


def test_a_best_step_that_is_damaged_is_not_the_best_any_more(tmp_path):
    state = toy_run.setup()[1]
    checkpoints = Checkpoints(tmp_path, 1)
    for step, loss in enumerate((1.0, 3.0, 2.0), 1):
        checkpoints.save(state._replace(step=jnp.int32(step)), ABOUT, loss)
    checkpoints.close()
    shutil.rmtree(tmp_path / "1" / "about")
    assert Checkpoints(tmp_path, 1).best() == 3


def test_a_state_may_be_donated_once_save_has_returned(tmp_path):
    def changed(state):
        params = jax.tree.map(lambda leaf: 2 * leaf + 1, state.params)
        return state._replace(step=state.step + 1, params=params)

    step, state = jax.jit(changed, donate_argnums=0), jax.tree.map(jnp.copy, toy_run.setup()[1])
    state = step(state)
    kept = jax.device_get(state.params)
    checkpoints = Checkpoints(tmp_path, 2)
    checkpoints.save(state, ABOUT)
    for _ in range(3):
        state = step(state)
    checkpoints.close()
    found, _ = restore(tmp_path)
    assert all(map(np.array_equal, jax.tree.leaves(found.params), jax.tree.leaves(kept)))


@pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")
def test_what_one_device_saved_is_restored_on_eight_and_split_as_asked(tmp_path):
    state = toy_run.setup(d_ff=2048)[1]
    save(tmp_path, state)
    found, _ = restore(tmp_path, like=state, mesh=make_mesh(2, 2, 2))
    kernel = found.params["encoder"][0]["feed_forward"]["up"]["kernel"][...]
    assert kernel.addressable_shards[0].data.shape == (8, 1024)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(state.params), strict=True):
        assert np.array_equal(a, b)


MESHES = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 2, 2), (4, 1, 1), (2, 2, 2), (1, 8, 1)]


@pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")
@pytest.mark.parametrize(
    "saved_on",
    [
        (2, 2, 2),
        pytest.param((1, 1, 1), marks=pytest.mark.variants),
        *(
            pytest.param(shape, marks=pytest.mark.long)
            for shape in MESHES
            if shape not in [(1, 1, 1), (2, 2, 2)]
        ),
    ],
    ids=str,
)
def test_what_any_mesh_saved_any_other_restores_and_splits_as_it_would(saved_on, tmp_path):
    plain = toy_run.setup()[1]
    plain = plain._replace(opt_state=jax.tree.map(lambda leaf: leaf + 1, plain.opt_state))
    save(tmp_path, jax.device_put(plain, state_sharding(make_mesh(*saved_on), plain)))
    for mesh in (make_mesh(*shape) for shape in MESHES):
        found, _ = restore(tmp_path, like=plain, mesh=mesh)
        where = jax.tree.leaves(state_sharding(mesh, plain))
        leaves = [jax.tree.leaves(state) for state in (found, plain)]
        for leaf, expected, sharding in zip(*leaves, where, strict=True):
            assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
                leaf, expected = map(jax.random.key_data, (leaf, expected))
            assert np.array_equal(leaf, expected)


@pytest.mark.parametrize("name", ABOUT)
def test_another_tokenizer_or_other_data_is_refused_by_name(name, tmp_path):
    save(tmp_path, toy_run.setup()[1])
    with pytest.raises(UsageError, match=f"not trained with this {name}"):
        restore(tmp_path, ABOUT | {name: "other"})


def test_another_shape_is_refused_in_one_line(tmp_path):
    save(tmp_path, toy_run.setup()[1])
    with pytest.raises(UsageError, match="cannot be restored into this model") as caught:
        restore(tmp_path, like=toy_run.setup(d_ff=64)[1])
    assert "feed_forward" in str(caught.value)
    assert "expected shape [64, 16], found [32, 16]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_before_anything_is_saved_there_are_no_steps(tmp_path):
    assert Checkpoints(tmp_path, 2).steps() == ()


def test_a_save_that_fails_is_told_before_the_next_is_begun(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, 2)

    class Failing:
        def result(self):
            raise ValueError("No space left on device")

    monkeypatch.setattr(checkpoint.ocp, "save_checkpointables_async", lambda *a, **k: Failing())
    checkpoints.save(small(1), ABOUT)
    with pytest.raises(RunError, match="No space left"):
        checkpoints.save(small(2), ABOUT)
