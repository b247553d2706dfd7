"""What is installed: the wheel as pip builds it."""

import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in a wheel that is built of this checkout."""
    builder = pytest.importorskip("hatchling.builders.wheel").WheelBuilder(str(ROOT))
    (path,) = builder.build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"])
    with zipfile.ZipFile(path) as file:
        return set(file.namelist())


def test_type_checkers_of_other_packages_are_told_that_this_one_is_typed(wheel):
    assert "taskaware/py.typed" in wheel  # PEP 561


def test_every_source_and_stub_of_the_package_is_in_the_wheel(wheel):
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "taskaware").rglob("*.py*")
        if path.suffix in (".py", ".pyi")
    }
    assert sources <= wheel
    assert any(path.endswith(".pyi") for path in sources)


def test_nothing_else_is_in_the_wheel(wheel):
    assert {name.partition("/")[0].partition("-")[0] for name in wheel} == {"taskaware"}
