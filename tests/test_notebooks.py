"""The notebooks are stored as they are before a run; ``.ci/run`` runs them."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def cells(path, kind):
    stored = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in stored["cells"] if cell["cell_type"] == kind]


def source(path):
    return "\n".join("".join(cell["source"]) for cell in cells(path, "code"))


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs(path):
    for cell in cells(path, "code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
    assert not any(cell.get("attachments") for cell in cells(path, "markdown"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_nothing_of_the_machine_it_was_written_on(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert stored["metadata"] == {"kernelspec": kernel, "language_info": {"name": "python"}}
    assert not any(cell["metadata"] for cell in stored["cells"])


@pytest.mark.parametrize("name", ["task_embeddings", "confusion_and_forgetting"])
def test_a_notebook_about_the_package_has_no_logic_of_its_own(name):
    tree = ast.parse(source(ROOT / "notebooks" / f"{name}.ipynb"))
    own = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    assert not any(isinstance(node, own) for node in ast.walk(tree))


def test_the_notebook_about_film_needs_no_more_than_it_says():
    tree = ast.parse(source(ROOT / "notebooks" / "film_in_your_model.ipynb"))
    found = {
        module.partition(".")[0]
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert found == {"jax", "flax", "optax", "matplotlib", "taskaware"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_from_at_most_three_places_of_the_package(path):
    nodes = ast.walk(ast.parse(source(path)))
    places = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    ours = {place for place in places if place and place.partition(".")[0] == "taskaware"}
    assert 1 <= len(ours) <= 3
    assert all(place.count(".") <= 1 for place in ours)  # a room's public names, no file's
