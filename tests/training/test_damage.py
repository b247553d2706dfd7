"""Damaged checkpoints are found, and the step before is used."""

import contextlib
import os
import resource
import shutil
from collections import Counter
from random import Random

import jax
import numpy as np
import pytest
from flax import nnx
from support.saved import restore, save
from support.saver import ABOUT, small

from taskaware.errors import RunError, UsageError
from taskaware.training import checkpoint
from taskaware.training.checkpoint import Checkpoints


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
    (tmp_path / "manifests").mkdir()
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


def test_steps_without_any_manifest_are_no_steps(two_steps, tmp_path):
    folder = shutil.copytree(two_steps, tmp_path / "run")
    shutil.rmtree(folder / "manifests")
    assert Checkpoints(folder, 2).steps() == ()
    with pytest.raises(UsageError, match=r"every checkpoint is damaged \(6: .*; 3: .*\)"):
        recover(folder)
    assert (folder / "6").is_dir() and (folder / "3").is_dir()  # nothing is lost of them


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


def test_a_file_that_goes_while_an_unfinished_step_is_deleted_is_no_error(tmp_path, monkeypatch):
    """As a lock of a write that failed, which its thread deletes meanwhile."""
    checkpoints = Checkpoints(tmp_path, 2)
    checkpoints.save(small(1), ABOUT)
    checkpoints.close()
    checkpoints._record(2, "part").touch()
    unfinished = tmp_path / "2.orbax-checkpoint-tmp"
    unfinished.mkdir()
    for name in ("a", "b"):
        (unfinished / name).touch()
    remove = os.unlink

    def late(path, **where):
        monkeypatch.setattr(os, "unlink", remove)
        remove(path, **where)  # somebody else's
        remove(path, **where)

    monkeypatch.setattr(os, "unlink", late)
    assert recover(tmp_path) == (1, [])
    assert not unfinished.exists()
