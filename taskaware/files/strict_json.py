"""Dataclasses as JSON files: written whole, read strictly, equal after the round trip.

A field's type may be a dataclass, a Literal, ``tuple[X, ...]``, ``dict[str, X]`` (or of a Literal's
words), a scalar, or a union. JSON's own types tell a union's members apart; of several dataclasses
each has a field ``kind: Literal[...]``, which says in the file which of them is meant.
"""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal

from taskaware.errors import CONTROL, UsageError, nearest
from taskaware.files.whole import damaged

_MOST = 2**24
"""Bytes of a file, unless its reader expects more."""


def to_json(value: Any) -> str:
    """Write what ``from_json`` reads back equal: a dataclass, or a tuple or dict of them."""
    return json.dumps(value, default=dataclasses.asdict, indent=2, ensure_ascii=False) + "\n"


def from_json(cls: Any, text: str, where: str, version: int | None = None) -> Any:
    """Read a dataclass; an unknown key, a wrong type or a value out of range is a UsageError.

    Args:
        cls: the dataclass expected, or a tuple or dict of them.
        text: JSON.
        where: the file's name, for messages.
        version: what the key ``format`` must be, in formats that have versions. It is compared
            first, since another version may have other keys.
    """
    try:
        data = json.loads(text, object_pairs_hook=_refuse_duplicates)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not valid JSON ({error})") from None
    if version is not None:
        number = data.get("format") if isinstance(data, dict) else None
        if type(number) is not int or number != version:
            newer = type(number) is int and number > version
            advice = "install a newer taskaware" if newer else "expected a file of taskaware"
            raise UsageError(f"{where}: expected format {version}, found {number!r}; {advice}")
    try:
        return _build(cls, data, where)
    except RecursionError:  # a message would quote what is nested that deep
        raise UsageError(
            f"{where}: expected an experiment, found other JSON, deeply nested"
        ) from None


def load(cls: Any, path: str | Path, version: int | None = None, most: int = _MOST) -> Any:
    """Read a file written by ``to_json``; one of more than ``most`` bytes is a UsageError."""
    return from_json(cls, _read(path, most), str(path), version)


def load_stored(cls: Any, path: Path, absent: Any, **limits: int) -> Any:
    """Read a file of a run folder that can be made again; ``absent`` where there is none.

    ``limits`` are those of ``load``.
    """
    if not path.exists():
        return absent
    try:
        return load(cls, path, **limits)
    except UsageError as error:
        reason = str(error).removeprefix(str(path)).removeprefix(": ")
        raise damaged(path, UsageError(reason)) from None


def load_object(path: str | Path) -> dict[str, Any]:
    """Read a JSON object that other software wrote, whatever its keys."""
    text = _read(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not valid JSON ({error})") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected an object, found {content!r}")
    return content


def _read(path: str | Path, most: int = _MOST) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(most + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot read the configuration ({error})") from None
    if len(content) > most:
        raise UsageError(f"{path}: expected a configuration, found more than {most:,} bytes")
    return text


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {key!r} stands twice")
        content[key] = value
    return content


def _build(kind: Any, value: Any, where: str) -> Any:
    """Turn parsed JSON into ``kind``: dataclass, Literal, tuple[X, ...], union, or a scalar."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected an object, found {value!r}")
        hints = typing.get_type_hints(kind)
        for key in value:
            if key not in hints:
                keys = tuple(hints)
                raise UsageError(
                    f"{where}: unknown key {key!r}; known are {', '.join(keys)}{nearest(key, keys)}"
                )
        for f in dataclasses.fields(kind):
            required = f.default is f.default_factory is dataclasses.MISSING
            if required and f.name not in value:
                raise UsageError(f"{where}: key {f.name!r} is missing")
        built = {key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()}
        try:
            return kind(**built)  # pyright: ignore[reportCallIssue]
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
    if origin is Literal:
        if value not in args:
            choices = [str(arg) for arg in args]
            raise UsageError(
                f"{where}: expected one of {', '.join(choices)}, found {value!r}"
                f"{nearest(str(value), choices)}"
            )
        return value
    if origin is dict:
        if not isinstance(value, dict):
            raise UsageError(f"{where}: expected an object, found {value!r}")
        return {
            _build(args[0], key, f"{where}: key"): _build(args[1], item, f"{where}.{key}")
            for key, item in value.items()
        }
    if origin is tuple:
        if not isinstance(value, list):
            raise UsageError(f"{where}: expected a list, found {value!r}")
        if args[0] is float and all(type(item) is float for item in value):
            return tuple(value)  # a task vector has up to millions of them
        return tuple(_build(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        return _build(_member(kind, value, where), value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UsageError(f"{where}: expected a float, found a number too large") from None
    if type(value) is not kind:
        raise UsageError(f"{where}: expected {kind.__name__}, found {value!r}")
    if kind is str and CONTROL.search(str(value)):
        raise UsageError(f"{where}: expected text without control characters, found {value!r}")
    if kind is int and not -(2**63) <= value < 2**63:
        raise UsageError(f"{where}: expected an int of 64 bits, found a larger one")
    return value


def _member(union: Any, value: Any, where: str) -> Any:
    """Return the one member of a union that a JSON value is read as.

    Raises:
        TypeError: the union is ambiguous: JSON writes two of its members alike.
        UsageError: the value is none of the members.
    """
    by_type: dict[type, list[Any]] = {}
    for member in typing.get_args(union):
        for json_type in _json_types(member):
            by_type.setdefault(json_type, []).append(member)
    by_kind = {}
    for written, members in by_type.items():
        if len(members) > 1:
            by_kind = _by_kind(members)
            if by_kind is None:
                raise TypeError(
                    f"{where}: {union} has two members that JSON writes as {written.__name__}; "
                    "give each a field kind: Literal of its own"
                )
    json_type = float if type(value) is int and int not in by_type else type(value)
    if json_type not in by_type:
        choices = ", ".join("null" if one is type(None) else one.__name__ for one in by_type)
        raise UsageError(f"{where}: expected one of {choices}, found {value!r}")
    if by_kind and isinstance(value, dict):
        kind, choices = value.get("kind"), [*by_kind]
        if not isinstance(kind, str) or kind not in by_kind:
            word = repr(kind) if "kind" in value else "no such key"
            raise UsageError(
                f"{where}.kind: expected one of {', '.join(choices)}, found {word}"
                f"{nearest(kind, choices) if isinstance(kind, str) else ''}"
            )
        return by_kind[kind]
    return by_type[json_type][0]


def _by_kind(members: list[Any]) -> dict[str, Any] | None:
    """Return dataclasses by the words of their field ``kind``; None if that tells not all apart."""
    by_kind: dict[str, Any] = {}
    for member in members:
        kind = (
            typing.get_type_hints(member).get("kind") if dataclasses.is_dataclass(member) else None
        )
        words = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
        if not words or not by_kind.keys().isdisjoint(words):
            return None
        by_kind |= dict.fromkeys(words, member)
    return by_kind


def _json_types(kind: Any) -> set[type]:
    """Return the types that ``json`` gives for what may be read as a kind."""
    if dataclasses.is_dataclass(kind):
        return {dict}
    match typing.get_origin(kind):
        case typing.Literal:
            return {type(choice) for choice in typing.get_args(kind)}
        case None:
            return {kind}
        case origin:
            return {list if origin is tuple else origin}
