"""The way from the train command to the loss, as docs/architecture.md tells it."""

import ast
import re
import sys

from support.command_line import ROOT, get_ready, taskaware

PACKAGE = ROOT / "taskaware"
LAST = "smoothed_cross_entropy"


def way(argv):
    """(file, first line, name) of each function on the stack when the loss is first traced."""
    stack = []

    def watch(frame, event, _):
        if event == "call" and frame.f_code.co_name == LAST and not stack:
            while frame:
                if frame.f_code.co_filename.startswith(str(PACKAGE)):
                    code = frame.f_code
                    stack.append((code.co_filename, code.co_firstlineno, code.co_name))
                frame = frame.f_back

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        assert taskaware(*argv).code == 0
    finally:
        sys.setprofile(before)
    return stack[::-1]


def lines_of(path, first_lines):
    """How many lines the functions that begin at some lines have."""
    lines = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            if first in first_lines:
                lines |= set(range(first, node.end_lineno + 1))
    return len(lines)


def test_the_way_to_the_loss_is_short_and_is_the_one_that_the_page_tells(tmp_path):
    given = get_ready(tmp_path)
    stack = way(["train", given.experiment, "--out", tmp_path / "run", "--steps", 1])
    files = {}
    for file, line, _ in stack:
        files.setdefault(file.removeprefix(f"{PACKAGE}/"), set()).add(line)
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    told = re.search(r"\n## From the command to the loss\n(.*?)\n## ", page, re.DOTALL)[1]
    assert re.findall(r"^\d+\. `([\w/]+\.py)`", told, re.MULTILINE) == list(files)
    assert len(files) <= 14
    assert sum(lines_of(PACKAGE / file, lines) for file, lines in files.items()) <= 2000
