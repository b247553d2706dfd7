import inspect
import mmap
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.command_line import ROOT, fresh

from taskaware.commands import corpora, models, results, training
from taskaware.commands.table import COMMANDS
from taskaware.devices.machine import memory_mappings
from taskaware.errors import UsageError
from taskaware.files.lock import sole_user

HOLD = """
import sys, time
from pathlib import Path
from taskaware.files.lock import sole_user
with sole_user(Path("runs/a"), Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that has the folder, and its lock."""
    lock = tmp_path / "lock"
    words = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process, lock
        process.kill()


def test_a_folder_in_use_is_refused_and_its_user_named(holder, tmp_path):
    process, lock = holder
    with pytest.raises(UsageError, match=rf"^runs/a: in use by process {process.pid} on ") as error:
        with sole_user(Path("runs/a"), lock):
            raise AssertionError("two in one folder")
    assert "\n" not in str(error.value)
    assert lock.exists()  # it is still the other's


def test_no_lock_outlives_its_process(holder):
    process, lock = holder
    process.kill()
    process.wait()
    assert lock.exists()
    with sole_user(Path("runs/a"), lock):
        assert str(os.getpid()) in lock.read_text()
    assert not lock.exists()


def test_a_folder_is_free_again_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), sole_user(tmp_path, tmp_path / "lock"):
            raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_lock_that_was_deleted_meanwhile_is_not_taken(tmp_path, monkeypatch):
    import fcntl

    lock, flock = tmp_path / "lock", fcntl.flock
    monkeypatch.setattr(fcntl, "flock", lambda *args: (flock(*args), lock.unlink()))
    with pytest.raises(UsageError, match="in use by another process"):
        with sole_user(tmp_path, lock):
            raise AssertionError("locked a file that nobody else will find")


def test_a_file_system_without_locks_can_be_used(tmp_path, monkeypatch):
    import fcntl

    def refuse(*args):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with sole_user(tmp_path, tmp_path / "lock"):
        (tmp_path / "mine").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_many_that_want_it_at_once_have_it_one_by_one(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from taskaware.files.lock import sole_user\n"
        "from taskaware.errors import UsageError\n"
        "lock, log, had = Path(sys.argv[1]), open(sys.argv[2], 'a', buffering=1), 0\n"
        "until = time.monotonic() + 120\n"
        "while had < 200 and time.monotonic() < until:\n"
        "    try:\n"
        "        with sole_user(lock, lock):\n"
        "            log.write('in\\n'); log.write('out\\n'); had += 1\n"
        "    except UsageError:\n"
        "        pass\n"
        "sys.exit(had < 200)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "lock"), str(tmp_path / "log")]
    processes = [subprocess.Popen(words, cwd=ROOT) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "in\nout\n" * 600


@pytest.mark.skipif(sys.platform != "linux", reason="large pages are Linux's")
def test_a_command_that_computes_starts_in_the_environment_that_it_is_fastest_in():
    said = "import os; print(*map(os.environ.get, ('GLIBC_TUNABLES', 'JAX_NUM_CPU_DEVICES')))"
    start = f"import sys; {said}; from taskaware import cli; cli.start()"
    tuned = "glibc.malloc.hugetlb=1"
    plain = {k: v for k, v in os.environ.items() if k not in ("GLIBC_TUNABLES", "XLA_FLAGS")}

    def told(*command: str, **variables: str) -> list[str]:
        words = [sys.executable, "-c", start, *command, "--help"]
        shown = subprocess.run(
            words, cwd=ROOT, env=plain | variables, capture_output=True, text=True
        )
        assert shown.returncode == 0, shown.stderr
        return [line for line in shown.stdout.splitlines() if line.startswith(("None", "glibc"))]

    assert told("check") == ["None None"]
    assert told("embed") == ["None None", f"{tuned} None"]
    assert told("--debug", "embed") == told("embed")
    first, second = told("decode")
    assert first == "None None"
    assert second.startswith(tuned) and int(second.split()[1]) in (1, 2, 4, 8)
    chosen = {"GLIBC_TUNABLES": "glibc.malloc.check=0", "JAX_NUM_CPU_DEVICES": "3"}
    assert told("decode", **chosen) == ["glibc.malloc.check=0 3"]


def test_it_is_known_of_every_command_whether_it_computes():
    """By its source: a new command has to be of the right kind in the table."""
    named = {
        name.replace("_", "-"): inspect.getsource(command)
        for module in (corpora, training, results, models)
        for name, command in vars(module).items()
        if inspect.isfunction(command) and command.__module__ == module.__name__
    }
    prepared = {
        name for name, code in named.items() if re.search(r"set_up_jax\(\)| _train\(", code)
    }
    brief = {"env", "fit", "share", "export"}  # compile at most, or write weights
    tuned = {name for name, command in COMMANDS.items() if command.kind != "brief"}
    assert prepared - brief - {"-train", "options-of"} == tuned
    assert brief < prepared and brief < set(COMMANDS)


CHANGES = """
import logging, sys, threading, warnings
from orbax.checkpoint import v1
import absl.logging, jax, threadpoolctl

def state():
    loggers = {name: one.level for name, one in logging.root.manager.loggerDict.items()
               if isinstance(one, logging.Logger) and not name.startswith("taskaware")}
    pools = [(pool["filepath"], pool["num_threads"]) for pool in threadpoolctl.threadpool_info()]
    return (loggers["absl"], pools, sys.unraisablehook, sys.excepthook, threading.excepthook,
            logging.root.handlers[:], jax.config.values["jax_compilation_cache_dir"])

before = state()
import taskaware.runs.trainer, taskaware.evaluation.scoring, taskaware.pretrained.model
import taskaware.modulation.linen
from taskaware.devices.machine import set_up_jax
assert state()[0] == before[0] and state()[2:] == before[2:], (before, state())
assert dict(state()[1]).items() >= dict(before[1]).items()
set_up_jax()
assert absl.logging.get_absl_logger().level == logging.CRITICAL
"""


def test_importing_the_package_changes_nothing_of_the_process():
    done = subprocess.run([sys.executable, "-c", CHANGES], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "told"),
    [("ValueError('lost')", True), ("RuntimeError('Event loop is closed')", False)],
)
@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_what_nobody_could_catch_is_told_but_for_what_orbax_leaves(error, told, debug):
    before = (
        "from taskaware.commands import training\n"
        f"class Lost:\n    def __del__(self):\n        raise {error}\n"
        "def env():\n    Lost()\n"
        "training.env = env"
    )
    outcome = fresh("env", *debug, before=before)
    assert outcome.code == 0
    assert (error.partition("(")[0] in outcome.err) == bool(told or debug)


@pytest.mark.skipif(sys.platform != "linux", reason="counts what Linux calls mappings")
def test_memory_mappings_are_counted():
    before, limit = memory_mappings()
    read, write = mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
    # Linux joins neighbors of the same kind, so each is of another kind than the one before.
    maps = [mmap.mmap(-1, 4096, prot=(read, write)[i % 2]) for i in range(40)]
    assert 40 <= memory_mappings()[0] - before < 60
    assert limit > before
    del maps
