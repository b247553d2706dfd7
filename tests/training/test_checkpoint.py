import contextlib
import functools
import resource
import shutil
from collections import Counter
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support import train_toy as toy_run

from taskaware.devices.sharding import make_mesh, state_sharding
from taskaware.errors import RunError, UsageError
from taskaware.training import checkpoint
from taskaware.training.checkpoint import Checkpoints
from taskaware.training.state import TrainState

ABOUT = {"tokenizer": "abc", "data": "def"}


def restore(folder, about=ABOUT, like=None, mesh=None):
    """The newest state, and its step."""
    checkpoints = Checkpoints(folder, 2)
    like = like or toy_run.setup()[1]
    try:
        where = state_sharding(mesh or make_mesh(), like)
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
        shape if shape in [(1, 1, 1), (2, 2, 2)] else pytest.param(shape, marks=pytest.mark.long)
        for shape in MESHES
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


# Damage.


def small(step):
    """A state of few files, which costs no compilation."""
    params = {"a": jnp.full((40, 40), step, jnp.float32), "b": jnp.arange(7.0)}
    return TrainState(jnp.int32(step), nnx.State(params), (), jax.random.key(0))


@pytest.fixture(scope="module")
def two_steps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two_steps")
    save(folder, small(3), small(6))
    return folder


def recover(folder):
    """The step that is whole, and the lines that say what is not."""
    told = []
    checkpoints = Checkpoints(folder, 2)
    try:
        return checkpoints.recover(told.append), told
    finally:
        checkpoints.close()


def files_of(folder, step):
    """The files that belong to a step; those of its folder come first."""
    inside = [path for path in sorted((folder / str(step)).rglob("*")) if path.is_file()]
    return [*inside, folder / "manifests" / f"{step}.json"]


def hurt(folder, step, random, other):
    """Change one thing about a step; tell what."""
    path = random.choice(files_of(folder, step))
    content = bytearray(path.read_bytes())
    kind = random.choice(["flip", "cut", "delete", "rename file", "rename step", "add", "swap"])
    if kind in ("flip", "cut") and not content:
        kind = "delete"
    match kind:
        case "flip":
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
            path.write_bytes(content)
        case "cut":
            path.write_bytes(content[: random.randrange(len(content))])
        case "delete":
            path.unlink()
        case "rename file":
            path.rename(path.with_name(path.name + "~"))
        case "rename step":
            for one in (folder / str(step), folder / "manifests" / f"{step}.json"):
                one.rename(one.with_name(one.name.replace(str(step), str(step + 3))))
        case "add":
            (folder / str(step) / "state" / "new").write_bytes(b"x")
        case "swap":
            for inside in (folder / str(step)).rglob("d/*"):  # arrays of another step, whole
                inside.unlink()
            shutil.copytree(other / "state", folder / str(step) / "state", dirs_exist_ok=True)
    return kind, path


def test_two_hundred_random_faults_are_all_found_and_the_step_before_is_used(two_steps, tmp_path):
    random, kinds = Random(0), Counter()
    for number in range(200):
        fallback = number < 20  # with a step to go back to; the others only look for damage
        folder = tmp_path / str(number)
        for step in (3, 6) if fallback else (6,):
            shutil.copytree(two_steps / str(step), folder / str(step))
            record = folder / "manifests" / f"{step}.json"
            record.parent.mkdir(exist_ok=True)
            shutil.copy(two_steps / "manifests" / record.name, record)
        fault = hurt(folder, 6, random, two_steps / "3")
        if fallback:
            step, told = recover(folder)
            assert (step, len(told)) == (3, 1), fault
            assert "damaged (" in told[0] and "step 3 is used instead" in told[0], fault
            assert "\n" not in told[0]
            assert recover(folder) == (3, []), fault  # what is damaged is out of the way
        else:
            with pytest.raises(UsageError, match="every checkpoint is damaged"):
                recover(folder)
        kinds[fault[0]] += 1
    assert len(kinds) == 7 and min(kinds.values()) > 10


def test_what_is_whole_is_not_called_damaged(two_steps):
    assert recover(two_steps) == (6, [])


@pytest.mark.parametrize("name", ["state/_METADATA", "about/_strings.json", "commit_success.txt"])
def test_damage_is_named(two_steps, tmp_path, name):
    folder = shutil.copytree(two_steps, tmp_path / "run")
    (folder / "6" / name).unlink()
    assert f"damaged (6: {name} is gone)" in recover(folder)[1][0]


def test_a_damaged_step_is_kept_aside_and_the_one_before_is_restored(two_steps, tmp_path):
    folder = shutil.copytree(two_steps, tmp_path / "run")
    next((folder / "6" / "state" / "d").iterdir()).write_bytes(b"?")
    assert recover(folder)[0] == 3
    assert sorted(path.name for path in (folder / "damaged").iterdir()) == ["6", "6.json"]
    found, step = restore(folder, like=small(0))
    assert step == 3
    assert np.array_equal(found.params["a"], small(3).params["a"])
    save(folder, small(6))  # the run comes by again
    assert np.array_equal(restore(folder, like=small(0))[0].params["a"], small(6).params["a"])


def test_a_damaged_step_is_not_restored(two_steps, tmp_path):
    """Orbax alone restores it without a word, with other numbers."""
    folder = shutil.copytree(two_steps, tmp_path / "run")
    (data,) = (folder / "6" / "state" / "d").iterdir()
    data.write_bytes(data.read_bytes()[:-1] + b"?")
    with pytest.raises(UsageError, match=r"6: damaged \(state/d/.* is not what was written\)") as e:
        restore(folder, like=small(0))
    assert "\n" not in str(e.value)


def test_a_run_does_not_start_anew_when_all_of_it_is_damaged(two_steps, tmp_path):
    folder = shutil.copytree(two_steps, tmp_path / "run")
    for step in (3, 6):
        shutil.rmtree(folder / str(step))
    with pytest.raises(UsageError, match="every checkpoint is damaged") as error:
        recover(folder)
    assert "6: the folder is gone; 3: the folder is gone" in str(error.value)
    assert "\n" not in str(error.value)
    assert checkpoint.anything_saved(folder)


def test_what_a_killed_run_was_writing_or_deleting_is_cleared_away(two_steps, tmp_path):
    folder = shutil.copytree(two_steps, tmp_path / "run")
    (folder / "manifests" / "6.json").rename(folder / "manifests" / "6.part")
    (folder / "manifests" / "9.part").touch()
    (folder / "9.orbax-checkpoint-tmp").mkdir()
    assert recover(folder) == (3, [])
    assert sorted(path.name for path in folder.iterdir()) == ["3", "manifests"]
    assert [path.name for path in (folder / "manifests").iterdir()] == ["3.json"]


def test_nothing_committed_is_nothing_to_go_on_from(tmp_path):
    assert recover(tmp_path) == (None, [])
    (tmp_path / "manifests" / "2.part").touch()
    (tmp_path / "2").mkdir()
    assert recover(tmp_path) == (None, [])
    assert not (tmp_path / "2").exists()


def test_a_step_is_committed_once_its_manifest_is_there_and_not_before(tmp_path, monkeypatch):
    seen = []
    checkpoints = Checkpoints(tmp_path, 2)
    watched = checkpoint.listing
    monkeypatch.setattr(
        checkpoint, "listing", lambda folder: seen.append(checkpoints.steps()) or watched(folder)
    )
    checkpoints.save(small(2), ABOUT)
    checkpoints.close()
    assert (seen, checkpoints.steps()) == ([()], (2,))


def test_steps_from_before_there_were_manifests_are_taken_as_they_are(two_steps, tmp_path):
    folder = shutil.copytree(two_steps, tmp_path / "run")
    shutil.rmtree(folder / "manifests")
    assert restore(folder, like=small(0))[1] == 6
    assert recover(folder) == (6, [])
    (folder / "6" / "commit_success.txt").unlink()
    assert recover(folder)[0] == 3


@contextlib.contextmanager
def full_disk(limit=2000):
    """No file of this process may grow beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# Callbacks of Orbax's may find its event loop closed after a write that failed, as in cli.main.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_is_one_line_and_costs_no_good_step(tmp_path):
    checkpoints = Checkpoints(tmp_path, 2)
    checkpoints.save(small(1), ABOUT)
    checkpoints.save(small(2), ABOUT)
    checkpoints.wait()
    noise = jax.random.normal(jax.random.key(0), (10**5,))
    with full_disk():
        checkpoints.save(small(3)._replace(params=nnx.State({"a": noise})), ABOUT)
        with pytest.raises(RunError, match=r"could not be written .*; earlier ones are good") as e:
            checkpoints.close()
    assert "\n" not in str(e.value)
    assert checkpoints.steps() == (1, 2)
    assert recover(tmp_path) == (2, [])
    assert restore(tmp_path, like=small(0))[1] == 2
    save(tmp_path, small(3))  # with room again
    assert recover(tmp_path) == (3, [])
