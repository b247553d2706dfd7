"""Processes killed before each call of the file system, by which a checkpoint comes to be.

Whole runs that are killed are in ``test_durability``. What TensorStore's own threads write is not
seen here: there kills come at any time.
"""

import multiprocessing
import random
import signal
import time

import pytest
from support import saver


@pytest.fixture(scope="module")
def processes():
    """Those that save are forked from one that has imported all they need."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["taskaware.training.checkpoint", "taskaware.devices.sharding"])
    return forks


class Told:
    """What the processes have told so far."""

    def __init__(self, log):
        text = log.read_text() if log.exists() else ""
        lines = [line.split() for line in text.splitlines()]
        assert {word for word, *_ in lines} <= {"began", "committed", "calls"}, text  # no damage
        self.began = [int(number) for word, number in lines if word == "began"]
        self.committed = max([int(n) for word, n in lines if word == "committed"], default=0)
        self.calls = [int(number) for word, number in lines if word == "calls"]


def save(processes, folder, last_call=0, seconds=None):
    """Run a process that saves; return what all have told, and how this one ended."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_name("log")
    process = processes.Process(target=saver.run, args=(folder, log, last_call))
    before = Told(log)
    process.start()
    if seconds is not None:
        while process.is_alive() and len(Told(log).began) == len(before.began):
            time.sleep(0.002)
        time.sleep(seconds)
        process.kill()
    process.join(300)
    assert process.exitcode in (0, -signal.SIGKILL)
    told = Told(log)
    for began in told.began[len(before.began) :]:
        assert began >= before.committed  # nothing that was committed is lost
    return told, process.exitcode


def survive(processes, folder, kills):
    """Kill one process after the other; the last one goes through."""
    killed = 0
    for options in kills:
        killed += save(processes, folder, **options)[1] != 0
    before = Told(folder.with_name("log")).committed
    told, code = save(processes, folder)
    assert code == 0
    assert told.committed == told.began[-1] + saver.SAVES >= before + saver.SAVES
    return killed


def calls_of(processes, folder):
    """How many calls there are in a folder that has something to go on from, and to delete."""
    save(processes, folder)
    return save(processes, folder)[0].calls[-1]


def test_kills_at_12_calls_of_the_file_system_lose_nothing(processes, tmp_path):
    count = calls_of(processes, tmp_path / "count" / "run")
    points = random.Random(0).sample(range(1, count + 1), 12)
    kills = [{"last_call": point} for point in points]
    assert survive(processes, tmp_path / "run", kills) > 9


@pytest.mark.long
def test_a_kill_at_any_call_of_the_file_system_loses_nothing(processes, tmp_path):
    count = calls_of(processes, tmp_path / "count" / "run")
    killed = 0
    for point in range(1, count + 1):
        folder = tmp_path / str(point) / "run"
        save(processes, folder)  # something to go on from, and to delete
        killed += survive(processes, folder, [{"last_call": point}])
    assert killed > count // 2  # how many calls there are depends a little on TensorStore


@pytest.mark.long
def test_a_hundred_kills_at_any_time_lose_nothing(processes, tmp_path):
    chance = random.Random(0)
    kills = [{"seconds": chance.uniform(0, 0.25)} for _ in range(100)]
    assert survive(processes, tmp_path / "run", kills) > 50
