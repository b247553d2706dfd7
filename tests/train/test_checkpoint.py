import jax
import jax.numpy as jnp
import numpy as np
import pytest
import train_toy as toy_run

from taskaware.errors import RunError, UsageError
from taskaware.train import sharding
from taskaware.train.checkpoint import Checkpoints

ABOUT = {"tokenizer": "abc", "data": "def"}


def restore(folder, about=ABOUT, like=None, mesh=None):
    """The newest state, and its step."""
    checkpoints = Checkpoints(folder, 2)
    like = like or toy_run.setup()[1]
    try:
        where = sharding.state_sharding(mesh or sharding.make_mesh(1, 1), like)
        step = checkpoints.steps()[-1]
        return checkpoints.restore(step, like, where, about), step
    finally:
        checkpoints.close()


def save(folder, *states, keep=2):
    checkpoints = Checkpoints(folder, keep)
    for state in states:
        checkpoints.save(state, ABOUT)
    checkpoints.close()


def trained(steps=3, start=None):
    step, state = toy_run.setup()
    step, state = jax.jit(step), start or state
    for _ in range(steps):
        state, metrics = step(state, toy_run.batch(int(state.step)))
    return state, metrics


def test_saving_and_restoring_is_no_pause_bit_for_bit(tmp_path):
    straight, metrics = trained(6)
    save(tmp_path, trained(3)[0])
    middle, step = restore(tmp_path)
    assert step == 3
    resumed, resumed_metrics = trained(3, start=middle)
    for a, b in zip(jax.tree.leaves(straight.params), jax.tree.leaves(resumed.params), strict=True):
        assert np.array_equal(a, b)
    for name, value in metrics.items():
        assert np.array_equal(value, resumed_metrics[name])


@pytest.mark.parametrize("forgotten", ["opt_state", "key", "step"])
def test_forgetting_any_part_of_the_state_would_show(forgotten, tmp_path):
    """The test above has teeth: without optimizer, randomness or position it would fail."""
    straight, _ = trained(6)
    save(tmp_path, trained(3)[0])
    middle, _ = restore(tmp_path)
    fresh = toy_run.setup()[1]._replace(key=jax.random.key(99))
    mutant, _ = trained(3, start=middle._replace(**{forgotten: getattr(fresh, forgotten)}))
    pairs = zip(jax.tree.leaves(straight.params), jax.tree.leaves(mutant.params), strict=True)
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


def test_a_state_may_be_donated_once_save_has_returned(tmp_path):
    step, state = toy_run.setup()
    step = jax.jit(step, donate_argnums=0)
    state, _ = step(state, toy_run.batch())
    kept = jax.device_get(state.params)
    checkpoints = Checkpoints(tmp_path, 2)
    checkpoints.save(state, ABOUT)
    for number in range(3):
        state, _ = step(state, toy_run.batch(number))
    checkpoints.close()
    found, _ = restore(tmp_path)
    assert all(map(np.array_equal, jax.tree.leaves(found.params), jax.tree.leaves(kept)))


@pytest.mark.skipif(jax.device_count() < 8, reason="needs 8 (fake) devices")
def test_what_one_device_saved_is_restored_on_eight_and_split_as_asked(tmp_path):
    state = toy_run.setup(d_ff=2048)[1]
    save(tmp_path, state)
    found, _ = restore(tmp_path, like=state, mesh=sharding.make_mesh(4, 2))
    kernel = found.params["encoder"][0]["feed_forward"]["up"]["kernel"][...]
    assert kernel.addressable_shards[0].data.shape == (16, 1024)
    for a, b in zip(jax.tree.leaves(found.params), jax.tree.leaves(state.params), strict=True):
        assert np.array_equal(a, b)


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

    monkeypatch.setattr(checkpoints._orbax, "save_checkpointables_async", lambda *a, **k: Failing())
    state = toy_run.setup()[1]
    checkpoints.save(state, ABOUT)
    with pytest.raises(RunError, match="No space left"):
        checkpoints.save(state, ABOUT)
