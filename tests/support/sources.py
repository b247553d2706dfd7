"""The package's source, and that of its tests."""

import ast
from pathlib import Path

import taskaware

ROOT = Path(taskaware.__file__).parent
SOURCES = {path.relative_to(ROOT).as_posix(): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
_HERE = Path(__file__).parents[1]
TESTS = {
    f"tests/{path.relative_to(_HERE).as_posix()}": path for path in sorted(_HERE.rglob("*.py"))
}
