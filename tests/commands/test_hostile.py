"""Files made by somebody who means harm, each fed to the command that reads it.

What they try: to have code run, to reach files outside of their folder, to take memory or time
without end, to write to the terminal. Each is refused in one line.
"""

import multiprocessing
import shutil
from pathlib import Path

import pytest
from support import watched
from support.attacks import ATTACKS
from support.attacks.audio import DATA, form, riff
from support.attacks.base import CODE
from support.command_line import Outcome, get_ready, refused, tiny

from taskaware.files.strict_json import to_json


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("given")).folder


@pytest.fixture(scope="module")
def processes():
    """Those that the commands run in are forked from one that has imported all they need."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(
        [
            "support.watched",
            "taskaware.runs.trainer",
            "taskaware.commands.corpora",
            "tensorflow_datasets",
        ]
        + [f"taskaware.data.corpora.{name}" for name in ("manifest", "write", "augmented")]
    )
    return forks


def files_of(folder):
    return {
        path.relative_to(folder): path.lstat().st_mtime_ns for path in sorted(folder.rglob("*"))
    }


def outcome_of(processes, argv, place, log):
    process = processes.Process(target=watched.run, args=(argv, place, log))
    process.start()
    process.join(60)
    process.kill()
    process.join()
    return Outcome(process.exitcode, *(Path(f"{log}.{n}").read_text() for n in ("out", "err")))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_in_one_line_and_does_nothing(name, given, processes, tmp_path):
    attack = ATTACKS[name]
    place = tmp_path / "in"
    shutil.copytree(given, place)
    (tmp_path / "secret.wav").write_bytes(riff((b"fmt ", form()), DATA))
    (place / "hostile.py").write_bytes(CODE)
    for path, content in attack.files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(place / path)
        else:
            (place / path).write_bytes(content)
    before = files_of(tmp_path)
    message = refused(outcome_of(processes, attack.argv.split(), place, tmp_path / "log"))
    assert attack.expected in message
    assert message.isprintable() and len(message) < 2500
    (tmp_path / "log.out").unlink()
    (tmp_path / "log.err").unlink()
    after = files_of(tmp_path)
    # A command that begins to write makes its folder, and takes it away again.
    for changed in (Path("."), Path("in"), Path("in/run")):
        before.pop(changed, None)
        after.pop(changed, None)
    assert after == before


def test_what_is_watched_would_be_seen(processes, tmp_path):
    """The tests above have teeth: code, memory and time are each noticed."""
    for code, expected in {
        "import os; os.system('true')": watched.BROKE_OUT,
        "import pickle; pickle.loads(pickle.dumps(len))": watched.BROKE_OUT,
        "x = bytes(2**32)": 2,  # MemoryError, as a mistake of the file
    }.items():
        (tmp_path / "e.py").write_text(f"{code}\nexperiment = None\n")
        argv = ["train", "e.py", "--out", "run"]
        outcome = outcome_of(processes, argv, tmp_path, tmp_path / "log")
        assert outcome.code == expected, outcome.err


def test_an_experiment_in_json_runs_no_python_beside_it(given, processes, tmp_path):
    """A Python experiment is code, by design; its ``base.py`` is read for ``data``."""
    place = shutil.copytree(given, tmp_path / "in")
    for name in ("base.py", "e.py", "experiment.py", "sitecustomize.py"):
        (place / name).write_bytes(CODE)
    (place / "e.json").write_text(to_json(tiny(Path())))
    argv = ["train", "e.json", "--out", "run", "--dry-run"]
    assert outcome_of(processes, argv, place, tmp_path / "log").code == 0
    assert not (place / "ran").exists()
