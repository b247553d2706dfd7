"""What docstrings show is what comes out."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): text.count(">>> ")
    for path in sorted((ROOT / "taskaware").rglob("*.py"))
    if ">>> " in (text := path.read_text())
}


def test_there_are_examples():
    assert len(SHOWN) > 10


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_in_a_docstring_gives_what_it_says(name):
    result = doctest.testmod(importlib.import_module(name))
    assert (result.failed, result.attempted) == (0, SHOWN[name])
