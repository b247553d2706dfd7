"""Two processes of two devices each train one model, as one process of four does."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from support.command_line import ROOT, get_ready, tiny
from support.forks import serving

from taskaware.config.file import load_experiment
from taskaware.files.strict_json import to_json
from taskaware.runs.folder import Run
from taskaware.runs.trainer import train

PATIENCE = (
    "--xla_cpu_collective_timeout_seconds=300"
    " --xla_cpu_collective_call_terminate_timeout_seconds=300"
)
"""With a busy machine, on which devices that are threads wait long for each other."""

GLOO = re.compile(
    r"\[Gloo\] Rank|is connected to|peer ranks\.|Expected number of connected peer ranks is :|\d+"
)
"""What threads of XLA's transport print, piece by piece and into each other's lines."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    get_ready(folder)
    whole = tiny(folder)
    whole = replace(whole, steps=20, log_every=1, save_every=5, validate_every=10)
    # Small updates: in large ones, Adam makes much of what rounding has left of a gradient.
    optimizer = replace(whole.optimizer, learning_rate=0.02)
    batching = replace(whole.batching, size=4)
    whole = replace(whole, optimizer=optimizer, batching=batching, mesh_data=None)
    for name, changes in {"joint": {"mesh_fsdp": 2}, "maml": {"strategy": "maml"}}.items():
        (folder / f"{name}.json").write_text(to_json(replace(whole, **changes)))
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What starts the one process and the other."""
    folder = tmp_path_factory.mktemp("logs")
    with serving(folder / "first") as first, serving(folder / "second") as second:
        yield first, second


def begin(both, experiment, run):
    """Start two processes that train together, each with two devices."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = re.sub(r"(device_count)=\d+", r"\1=2", os.environ["XLA_FLAGS"])
    env = {
        "XLA_FLAGS": f"{flags} {PATIENCE}",
        "JAX_NUM_PROCESSES": "2",
        "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
    }
    train = ["train", experiment, "--out", run, "--distributed"]
    return [
        server.start(*train, env=env | {"JAX_PROCESS_ID": str(number)}, tell=False)
        for number, server in enumerate(both)
    ]


def end(both, within=600):
    """What both did."""
    until = time.monotonic() + within
    while not all(server.ended() for server in both):
        assert time.monotonic() < until
        time.sleep(0.05)
    return [server.end() for server in both]


def metrics(run):
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(step, run, both):
    while not any(line["step"] >= step for line in metrics(run)):
        assert not any(server.ended() for server in both), end(both)
        time.sleep(0.05)


@pytest.mark.long  # seven starts; .ci/run has it
@pytest.mark.parametrize("strategy", ["joint", "maml"])
def test_two_processes_train_what_one_trains_and_live_and_die_together(
    given, both, tmp_path, strategy
):
    experiment, run = given / f"{strategy}.json", tmp_path / "two"
    alone = load_experiment(experiment)
    train(Run.start(replace(alone, mesh_data=4 // alone.mesh_fsdp), tmp_path / "one"))

    # A polite end of one is the end of both, after the same step, which is saved.
    _, second = begin(both, experiment, run)
    wait_for(3, run, both)
    os.kill(second, signal.SIGTERM)
    first, second = end(both)
    assert (first.code, second.code) == (143, 143), (first, second)
    assert not GLOO.sub("", second.out).strip()
    stopped = metrics(run)[-1]["step"]
    assert f"stopped by SIGTERM after step {stopped}, which is saved" in first.err

    # The death of one is the end of the other, soon; the first has something to say.
    _, second = begin(both, experiment, run)
    wait_for(max(10, stopped + 1), run, both)
    os.kill(second, signal.SIGKILL)
    first, _ = end(both, within=30)
    assert first.code != 0
    assert f"going on from step {stopped}" in first.out

    begin(both, experiment, run)
    first, second = end(both)
    assert (first.code, second.code) == (0, 0), (first, second)
    one, two = metrics(tmp_path / "one"), metrics(run)
    assert [line["step"] for line in one] == [line["step"] for line in two]
    for expected, found in zip(one, two, strict=True):
        for name in expected.keys() & {"loss", "gradient_norm", "validation_loss/st"}:
            np.testing.assert_allclose(flat(found[name]), flat(expected[name]), rtol=1e-5)
    assert (run / "task_vectors.json").exists()


def flat(value):
    return list(value.values()) if isinstance(value, dict) else value


def test_processes_that_are_not_told_of_each_other_are_refused(given, tmp_path):
    env = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    words = [sys.executable, "-m", "taskaware.cli", "train", str(given / "joint.json")]
    words += ["--out", str(tmp_path / "run"), "--distributed"]
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("taskaware: --distributed: cannot join the other processes (")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
