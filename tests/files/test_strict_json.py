import dataclasses
import json
import os
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskaware.errors import UsageError
from taskaware.files.strict_json import from_json, load_stored, to_json
from taskaware.files.whole import write_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    one: int | str = 0
    two: Inner | tuple[Inner, ...] | None = None
    three: Literal["all"] | float | bool = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Leaf:
    kind: Literal["leaf"] = "leaf"
    weight: float = 0.0
    notes: dict[str, str | None] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fork:
    kind: Literal["fork", "branch"] = "fork"
    parts: tuple["Leaf | Fork | None", ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tree:
    """Of every kind of nesting: in a field, in a tuple, in a dict, and in itself."""

    root: Leaf | Fork | str | None = None
    named: dict[str, Leaf | Fork] = dataclasses.field(default_factory=dict)
    counted: dict[Literal["few", "many"], tuple[float, ...]] = dataclasses.field(
        default_factory=dict
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlsoLeaf:
    kind: Literal["leaf"] = "leaf"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnyKind:
    kind: str


texts = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=3)
numbers = st.floats(allow_nan=False)
leaves = st.builds(
    Leaf, weight=numbers, notes=st.dictionaries(texts, st.none() | texts, max_size=2)
)
nodes = st.recursive(
    leaves,
    lambda inner: st.builds(
        Fork,
        kind=st.sampled_from(["fork", "branch"]),
        parts=st.lists(st.none() | inner, max_size=3).map(tuple),
    ),
    max_leaves=6,
)
trees = st.builds(
    Tree,
    root=st.none() | texts | nodes,
    named=st.dictionaries(texts, nodes, max_size=3),
    counted=st.dictionaries(
        st.sampled_from(["few", "many"]), st.lists(numbers, max_size=3).map(tuple)
    ),
)


@given(trees)
def test_nested_unions_of_kinds_come_back_equal(tree):
    assert from_json(Tree, to_json(tree), "e.json") == tree
    assert from_json(tuple[Tree, ...], to_json((tree, tree)), "e.json") == (tree, tree)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"root": {"kind": "laef"}}',
            "e.json.root.kind: expected one of leaf, fork, branch, found 'laef'; did you mean "
            "'leaf'?",
        ),
        ('{"root": {}}', "e.json.root.kind: expected one of leaf, fork, branch, found no such key"),
        ('{"root": {"kind": 3}}', "e.json.root.kind: expected one of leaf, fork, branch, found 3"),
        (
            '{"root": {"kind": ["leaf"]}}',
            "e.json.root.kind: expected one of leaf, fork, branch, found ['leaf']",
        ),
        (
            '{"root": {"kind": "leaf", "parts": []}}',
            "e.json.root: unknown key 'parts'; known are kind, weight, notes",
        ),
        (
            '{"named": {"a": {"kind": "fork", "parts": [null, {"kind": "leaf", "weight": "1"}]}}}',
            "e.json.named.a.parts[1].weight: expected float, found '1'",
        ),
        ('{"root": 3}', "e.json.root: expected one of dict, str, null, found 3"),
        ('{"named": []}', "e.json.named: expected an object, found []"),
        (
            '{"counted": {"man": []}}',
            "e.json.counted: key: expected one of few, many, found 'man'; did you mean 'many'?",
        ),
        ('{"counted": {"few": [1.5, true]}}', "e.json.counted.few[1]: expected float, found True"),
    ],
)
def test_a_mistake_in_a_union_of_kinds_is_one_line_that_names_its_place(text, message):
    with pytest.raises(UsageError) as told:
        from_json(Tree, text, "e.json")
    assert str(told.value) == message


@pytest.mark.parametrize("other", [Inner, Outer, AlsoLeaf, AnyKind, dict[str, int]])
def test_a_union_that_json_cannot_decide_is_never_guessed(other):
    ambiguous = dataclasses.make_dataclass("Ambiguous", [("one", Leaf | other)])
    for value in ({"kind": "leaf"}, {"size": 3}, None):
        with pytest.raises(TypeError, match=r"e.json.one: .* two members that JSON writes as dict"):
            from_json(ambiguous, json.dumps({"one": value}), "e.json")


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"kind": "tree"}]', b"\xff"])
def test_a_stored_file_that_cannot_be_read_is_to_be_made_again(tmp_path, content):
    path = tmp_path / "rows.json"
    assert load_stored(tuple[Leaf, ...], path, ()) == ()
    path.write_text(to_json((Leaf(weight=2.0),)))
    assert load_stored(tuple[Leaf, ...], path, ()) == (Leaf(weight=2.0),)
    path.write_bytes(content)
    with pytest.raises(UsageError) as told:
        load_stored(tuple[Leaf, ...], path, ())
    assert str(told.value).startswith(f"{path}: damaged (")
    assert str(told.value).endswith("); delete it and run the same command again")
    assert str(told.value).count("rows.json") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"one": "word"}', Outer(one="word")),
        ('{"one": 3}', Outer(one=3)),
        ('{"two": null}', Outer()),
        ('{"two": {"size": 3}}', Outer(two=Inner(size=3))),
        ('{"two": [{"size": 3}]}', Outer(two=(Inner(size=3),))),
        ('{"three": "all"}', Outer(three="all")),
        ('{"three": 2}', Outer(three=2.0)),
        ('{"three": true}', Outer(three=True)),
    ],
)
def test_a_union_is_read_as_its_member_of_that_json_type(text, expected):
    found = from_json(Outer, text, "e.json")
    assert found == expected
    assert type(found.three) is type(expected.three)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"one": 1.5}', "e.json.one: expected one of int, str, found 1.5"),
        ('{"one": null}', "e.json.one: expected one of int, str, found None"),
        ('{"two": {"size": "3"}}', "e.json.two.size: expected int, found '3'"),
        ('{"two": 3}', "e.json.two: expected one of dict, list, null, found 3"),
        ('{"three": "some"}', "e.json.three: expected one of all, found 'some'"),
    ],
)
def test_what_no_member_of_a_union_takes_is_refused_in_one_line(text, message):
    with pytest.raises(UsageError) as told:
        from_json(Outer, text, "e.json")
    assert str(told.value) == message


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "new" * 10_000 + "\udc00")
    assert path.read_text() == "old"
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path / "folder", "new")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_a_pipe_is_written_and_stays_one(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as reader:
        write_text(pipe, "text")
        assert reader.read() == "text"
    assert pipe.is_fifo() and [*tmp_path.iterdir()] == [pipe]


def test_what_a_link_points_to_is_written_and_the_link_stays(tmp_path):
    link, path = tmp_path / "link", tmp_path / "file"
    link.symlink_to("file")
    for text in ("new", "newer"):
        write_text(link, text)
        assert link.is_symlink() and path.read_text() == text


def test_two_processes_that_write_a_file_have_a_part_each(tmp_path, monkeypatch):
    path, replace = tmp_path / "file", os.replace

    def overtaken(part, whole):
        monkeypatch.setattr(os, "replace", replace)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        write_text(path, "theirs")
        assert path.read_text() == "theirs"
        replace(part, whole)

    monkeypatch.setattr(os, "replace", overtaken)
    write_text(path, "ours")
    assert path.read_text() == "ours" and [*tmp_path.iterdir()] == [path]
