"""A small run from a table to its results, which nobody may change."""

import json

import pytest
from support.command_line import get_ready, taskaware
from support.story import tell


@pytest.fixture(scope="session")
def given(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="session")
def story(given):
    return tell(given)


@pytest.fixture(scope="session")
def evaluated(story):
    outcome = taskaware("evaluate", story.run)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(scope="session")
def results(story, evaluated):
    (row,) = json.loads((story.run / "results.json").read_text())
    return row
