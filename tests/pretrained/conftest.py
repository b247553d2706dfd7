"""Models that are shared, which nobody may change."""

import shutil

import pytest
from support.command_line import get_ready, taskaware
from support.shared_model import random_model


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder that nobody may change."""
    folder = tmp_path_factory.mktemp("shared")
    random_model(folder).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def hostile(shared, tmp_path):
    """A copy of it to do harm to."""
    return shutil.copytree(shared, tmp_path / "model")


@pytest.fixture(scope="session")
def story(tmp_path_factory):
    """A trained and evaluated run, and what sharing it said."""
    given = get_ready(tmp_path_factory.mktemp("given"))
    run, out = given.folder / "run", given.folder / "shared"
    train = ["train", given.experiment, "--out", run, "--decoding.beam-size", 1]
    train += ["--model.norm", "post"]  # so that a task can be folded
    train += ["--optimizer.warmup-steps", 50]
    train += ["--steps", 200, "--save-every", 200, "--log-every", 200]  # then it writes words
    for argv in (train, ["evaluate", run]):
        outcome = taskaware(*argv)
        assert outcome.code == 0, outcome.err
    return run, out, taskaware("share", run, out)
