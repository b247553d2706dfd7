"""Runs that are killed, told to stop, starved or handed damage, and what is left of them."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pytest
from support.command_line import ENGLISH, GERMAN, HEADER, refused, taskaware, tiny
from support.forks import serving
from support.variants import only

from taskaware.config import Task
from taskaware.files.strict_json import to_json
from taskaware.runs import checkpoints as restoring
from taskaware.runs import trainer
from taskaware.runs.folder import Run
from taskaware.training.checkpoint import Checkpoints


class Given(NamedTuple):
    """Experiments of thirty steps on text alone, each saved and reported; and their processes."""

    folder: Path
    joint: Path
    maml: Path


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    rows = [HEADER]
    for i in range(12):
        texts = [f"{words[i % 6]} {words[(5 * i + 1) % 6]}" for words in (ENGLISH, GERMAN)]
        rows.append([f"u{i}", "", "", "", "", *texts, "en", "de", "train"])
    (folder / "table.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    corpus, tokenizer = folder / "corpus", folder / "tokenizer.model"
    prepare = ["prepare", "manifest", folder / "table.tsv", "--out", corpus, "--workers", 1]
    assert taskaware(*prepare).code == 0
    vocab = ["vocab", "--data", corpus, "--out", tokenizer, "--size", 40]
    assert taskaware(*vocab).code == 0
    tasks = tuple(
        Task(name=name, source="text", target=target, metric="bleu", data=(str(corpus),))
        for name, target in (("mt", "translation"), ("copy", "transcript"))
    )
    whole = tiny(folder)
    # Without task information there is less to compile; dropout takes the randomness.
    model = replace(whole.model, conditioning="vanilla")
    whole = replace(whole, tasks=tasks, model=model, steps=30, log_every=1, save_every=1)
    for strategy in ("joint", "maml"):
        experiment = replace(whole, strategy=strategy)
        (folder / f"{strategy}.json").write_text(to_json(experiment))
    return Given(folder, folder / "joint.json", folder / "maml.json")


def curve(run):
    """Of each step its number, losses and the norm of its gradient, bit for bit."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["loss"], line["gradient_norm"]) for line in lines]


def final_state(run):
    """The digest of all that the newest checkpoint holds."""
    opened = Run.open(run)
    kept = {}

    def keep(checkpoints, step, like, *rest):
        state = restore(checkpoints, step, like, *rest)
        kept["leaves"] = jax.tree.leaves(state._replace(key=jax.random.key_data(state.key)))
        return state

    restore = Checkpoints.restore
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "restore", keep)
        restoring.restore(opened)
    digest = hashlib.sha256()
    for leaf in kept["leaves"]:
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


# Resume is no pause, bit for bit.


class Paused(NamedTuple):
    """A run without a pause, and a copy of one that is at step 11."""

    straight: Path
    half: Path


@pytest.fixture(scope="module", params=only(["joint", "maml"], "maml"))
def paused(request, given):
    """Both, and the command. Joint learning is also what those below pause."""
    folder = given.folder / request.param
    straight, half = folder / "straight", folder / "half"
    train = ["train", getattr(given, request.param), "--save-every", 11, "--out"]
    assert taskaware(*train, straight).code == 0
    assert taskaware(*train, half, "--steps", 11).code == 0
    return Paused(straight, half), train


def test_a_run_in_three_sittings_is_the_run_in_one(paused, tmp_path):
    (straight, half), train = paused
    run = shutil.copytree(half, tmp_path / "run")
    for steps in (19, 30):
        outcome = taskaware(*train, run, "--steps", steps)
        assert (outcome.code, outcome.err) == (0, "")
    assert "going on from step 19" in outcome.out
    assert len(curve(run)) == 30
    assert curve(run) == curve(straight)
    assert final_state(run) == final_state(straight)


@pytest.mark.parametrize("forgotten", ["optimizer", "randomness", "position"])
def test_a_resume_that_forgets_a_part_would_be_found(paused, forgotten, tmp_path, monkeypatch):
    """The test above has teeth: of each part of the state it sees whether it came back."""
    (straight, half), train = paused
    restore, batches = Checkpoints.restore, trainer.training_batches

    def forget(checkpoints, step, like, *rest):
        state = restore(checkpoints, step, like, *rest)
        if forgotten == "optimizer":
            state = state._replace(opt_state=like.opt_state)
        if forgotten == "randomness":
            state = state._replace(key=jax.random.key(99))
        return jax.device_put(state, rest[0])

    def from_the_beginning(*args, first, **options):
        return batches(*args, first=0 if forgotten == "position" else first, **options)

    monkeypatch.setattr(Checkpoints, "restore", forget)
    monkeypatch.setattr(trainer, "training_batches", from_the_beginning)
    run = shutil.copytree(half, tmp_path / "run")
    assert taskaware(*train, run).code == 0
    assert curve(run)[:11] == curve(straight)[:11]
    assert curve(run)[11:] != curve(straight)[11:]


# Processes that end before their time.


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("log") / "log") as server:
        yield server


@pytest.fixture(scope="module")
def straight(given, server):
    """A run of joint learning without a pause, in a process of its own."""
    train = ["train", given.joint, "--steps", 20, "--out", given.folder / "unkilled"]
    train += ["--save-every", 20]
    server.start(*train)
    outcome = server.end()
    assert outcome.code == 0, outcome.err
    return given.folder / "unkilled"


def began_at(out):
    """The step that a command went on from."""
    return int(out.split("going on from step ")[1].split()[0]) if "going on" in out else 0


def survive(server, given, run, kills, seed):
    """Train to the end through kills at random points; nothing that was committed may be lost."""
    chance, train = random.Random(seed), ["train", given.joint, "--steps", 20, "--out", run]
    committed = 0
    for _ in range(kills):
        before = committed
        process = server.start(*train)
        # After the last step there is none to wait for.
        server.wait_for(before + 1 if chance.random() < 0.9 and before < 20 else 0)
        time.sleep(chance.uniform(0, 0.3))
        with contextlib.suppress(ProcessLookupError):  # it may have been through
            os.kill(process, signal.SIGKILL)
        outcome = server.end()
        assert outcome.code in (-signal.SIGKILL, 0)
        assert "damaged" not in outcome.out
        if outcome.out.count("\n") > 1:  # it came as far as to say where it begins
            assert began_at(outcome.out) >= before
        committed = max(committed, server.committed())
    server.start(*train)
    outcome = server.end()
    assert (outcome.code, outcome.err) == (0, "")
    assert began_at(outcome.out) >= committed
    return committed


@pytest.mark.parametrize("kills", [2, pytest.param(4, marks=pytest.mark.long)])
def test_a_run_that_is_killed_now_and_then_is_the_run_that_is_not(
    server, given, straight, tmp_path, kills
):
    assert survive(server, given, tmp_path / "run", kills, seed=0) >= kills - 1
    assert curve(tmp_path / "run") == curve(straight)
    assert final_state(tmp_path / "run") == final_state(straight)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_kills_lose_nothing(server, given, straight, tmp_path, seed):
    survive(server, given, tmp_path / "run", 10, seed=1 + seed)
    assert curve(tmp_path / "run") == curve(straight)
    assert final_state(tmp_path / "run") == final_state(straight)


def test_a_run_that_is_told_to_stop_saves_the_step_that_it_is_at(server, given, tmp_path):
    train = ["train", given.joint, "--out", tmp_path / "run", "--save-every", 1000]
    metrics, last = tmp_path / "run" / "metrics.jsonl", 0
    for number in (signal.SIGTERM, signal.SIGINT):
        process = server.start(*train, "--steps", 10**6)
        lines = last + 5
        server.wait_until(lambda n=lines: metrics.exists() and metrics.read_text().count("\n") >= n)
        os.kill(process, number)
        stopped = server.end()
        assert began_at(stopped.out) == last
        last = curve(tmp_path / "run")[-1][0]
        assert refused(stopped, code=128 + number).endswith(
            f"stopped by {number.name} after step {last}, which is saved; run the same command "
            "again to go on"
        )
        assert server.committed() == last
    server.start(*train, "--steps", last + 1)
    outcome = server.end()
    assert (outcome.code, began_at(outcome.out)) == (0, last)


def test_a_run_that_has_not_stepped_yet_ends_at_once(server, given, tmp_path):
    """A handler in Python would wait until the first step is compiled."""
    process = server.start("train", given.joint, "--out", tmp_path / "run")
    server.wait_until((tmp_path / "run" / "experiment.json").exists)
    os.kill(process, signal.SIGTERM)
    assert server.end().code == -signal.SIGTERM
    server.start("train", given.joint, "--out", tmp_path / "run", "--steps", 1)
    assert server.end().code == 0


def test_two_runs_in_one_folder_are_one_and_a_refusal(server, given, straight, tmp_path):
    run = shutil.copytree(straight, tmp_path / "run")
    process = server.start("train", given.joint, "--out", run, "--steps", 10**6)
    server.wait_for(21)
    for options in ([], ["--seed", 1]):
        message = refused(taskaware("train", given.joint, "--out", run, *options))
        assert message.startswith(f"{run}: in use by process {process} on ")
    os.kill(process, signal.SIGKILL)
    assert server.end().code == -signal.SIGKILL
    server.start("train", given.joint, "--out", run, "--steps", 1 + server.committed() + 3)
    assert server.end().code == 0


def test_a_full_disk_ends_a_run_in_one_line_and_the_same_command_goes_on(
    server, given, straight, tmp_path
):
    train = ["train", given.joint, "--out", shutil.copytree(straight, tmp_path / "run")]
    server.start(*train, limit=20_000)
    starved = server.end()
    message = refused(starved, code=1)
    assert "the newest checkpoint could not be written" in message
    assert "earlier ones are good" in message
    assert "committed" not in starved.out
    server.start(*train, "--steps", 22)
    outcome = server.end()
    assert (outcome.code, began_at(outcome.out)) == (0, 20)


# Damage.


def test_a_run_goes_on_from_the_step_before_a_damaged_one(paused, tmp_path):
    (straight, _), train = paused
    run = shutil.copytree(straight, tmp_path / "run")  # it has kept 22 and 30
    (data,) = (run / "checkpoints" / "30" / "state" / "d").iterdir()
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    message = refused(taskaware("evaluate", run, "--split", "train"))
    assert f"checkpoints/30: damaged (state/d/{data.name} is not what was written)" in message
    outcome = taskaware(*train, run)
    assert (outcome.code, outcome.err) == (0, "")
    (line,) = [line for line in outcome.out.splitlines() if "damaged" in line]
    assert line.endswith("damaged, and step 22 is used instead")
    assert "going on from step 22" in outcome.out
    assert curve(run) == curve(straight)
    assert final_state(run) == final_state(straight)


def test_a_run_whose_every_step_is_damaged_does_not_begin_anew(paused, tmp_path):
    (_, half), train = paused
    run = shutil.copytree(half, tmp_path / "run")
    shutil.rmtree(run / "checkpoints" / "11")
    assert "every checkpoint is damaged (11: the folder is gone)" in refused(taskaware(*train, run))
