"""README and the pages of docs/: their Python runs, their commands and files are there."""

import re
import shlex
from pathlib import Path

import pytest
from support.command_line import ROOT, taskaware, write_manifest

from taskaware import cli

README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = "# not run: "
"""How a Python block begins that needs what a test has not, in front of the reason."""

TINY = (
    *("--steps", 2, "--save-every", 2, "--model.d-model", 16, "--model.num-heads", 2),
    *("--model.d-ff", 16, "--model.encoder-layers", 1, "--model.decoder-layers", 1),
    *("--model.cnn-channels", 2, 2, 2, "--model.tcn.width", 8, "--model.tcn.d-ff", 8),
    *("--batching.size", 2, "--batching.buckets", 1, "--mesh-data", 1),
    *("--decoding.beam-size", 2, "--decoding.extra-length", 2),
)
"""Options of ``taskaware train`` that make whatever it trains small."""


def blocks(page, language):
    """The fenced blocks of a page in one language."""
    fence = rf"^```{language}\n(.*?)^```$"
    return re.findall(fence, page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(page):
    """The taskaware commands of a page's shell blocks, as lists of words."""
    lines = "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [words[1:] for words in map(shlex.split, lines) if words and words[0] == "taskaware"]


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """README's experiment beside a tiny table, in the folder where commands are given."""
    write_manifest(tmp_path)
    (block,) = [block for block in blocks(README, "python") if "experiment = " in block]
    (tmp_path / "mine.py").write_text(block)
    monkeypatch.chdir(tmp_path)


def test_readme_is_one_page():
    text = README.read_text(encoding="utf-8")
    assert len(text.encode()) <= 9000
    assert "<!--" not in text, "tables of results stand in docs/"


def test_readmes_commands_train_and_score_its_experiment_and_all_python_runs_there(mine):
    assert len([line for line in Path("mine.py").read_text().splitlines() if line]) <= 12
    given = commands(README)
    assert [words[0] for words in given] == "quickstart prepare vocab train evaluate".split()
    smaller = {"vocab": ("--size", 40), "train": TINY}
    for words in given[1:]:  # .ci/run runs the quickstart
        assert taskaware(*words, *smaller.get(words[0], ())).code == 0
    for task in ("st", "asr", "mt"):
        assert len(Path(f"runs/mine/test.{task}.hyp.txt").read_text().splitlines()) == 4

    # What pages take for granted.
    assert taskaware("embed", "runs/mine").code == 0
    assert taskaware("share", "runs/mine", "shared/mine").code == 0
    lengths = ("--source-length", 64, "--max-length", 80)
    assert taskaware("export", "shared/mine", "out", "--task", "mt", *lengths).code == 0
    for page in PAGES:
        names = {"__name__": page.stem}
        for block in blocks(page, "python"):
            if not block.startswith(NOT_RUN):
                exec(compile(block, page.name, "exec"), names)


def test_few_blocks_of_python_are_not_run_and_none_is_hidden():
    languages, left_out = set(), 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        languages |= set(re.findall(r"^ *[`~]{3,}(.*)\n", text, re.MULTILINE))
        left_out += sum(block.startswith(NOT_RUN) for block in blocks(page, "python"))
    assert languages == {"", "python", "sh", "text", "{toctree}"}
    assert left_out <= 2


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_option_of_a_page_is_one_that_its_command_has(page, mine, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for words in commands(page):
        depth = 2 if words[0] in ("prepare", "train") or words[1:2] == ["mustc"] else 1
        offered = taskaware(*words[:depth], "--help")
        assert offered.code == 0, words
        for option in (word for word in words[depth:] if word.startswith("--")):
            assert re.search(rf"(?<!\S){re.escape(option)}(?![\w.-])", offered.out), words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_names_is_there(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_0-9.]+/)+(?:[a-z_0-9]+\.(?:py|md|json|txt))?)`", text))
    for name in named:
        if not name.startswith(("runs/", "data/", "shared/", "checkpoints/")):  # what users make
            assert any(Path(place, name).exists() for place in (ROOT, ROOT / "taskaware")), name
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link


def test_every_page_is_in_readmes_list_and_in_the_sites():
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    listed = set(re.findall(r"\]\(docs/(\w+)\.md", README.read_text(encoding="utf-8")))
    site = set(re.findall(r"^(\w+)$", (ROOT / "docs/index.md").read_text(), re.MULTILINE))
    assert listed == pages
    assert site == pages


def test_every_public_room_is_in_the_reference():
    described = {path.stem for path in (ROOT / "docs" / "api").glob("*.md")} - {"index", "dims"}
    rooms = {path.parent.name for path in Path(cli.__file__).parent.glob("*/__init__.py")}
    assert described == rooms - {"commands"}
