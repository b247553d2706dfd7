import dataclasses
import json
import os
from typing import Literal

import pytest

from taskaware.errors import UsageError
from taskaware.files.strict_json import from_json
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
class Ambiguous:
    one: Inner | Outer


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


def test_a_union_that_json_cannot_decide_is_never_guessed():
    for value in ({"size": 3}, {"one": 3}, None):
        with pytest.raises(TypeError, match=r"e.json.one: .* two members that JSON writes as dict"):
            from_json(Ambiguous, json.dumps({"one": value}), "e.json")


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
