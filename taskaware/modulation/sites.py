"""What grafts of NNX and Linen models share: choosing modules, and γ and β for each."""

import abc
import difflib
import re
import types
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from taskaware.errors import UsageError
from taskaware.modulation.adapter import Adapter
from taskaware.modulation.affine import Modulation
from taskaware.modulation.modulator import AnyModulation, modulate

Where = str | Callable[[str], bool]
"""A regular expression for a whole path such as "blocks/0/mlp", or a predicate of the path."""

PREFIX = "graft_"
"""Begins the names of γ and β beside a module's own parameters."""

_KINDS = (Modulation, Adapter)
_SYMBOLS = {Modulation: "γ and β", Adapter: "an adapter's down, b, up and c"}


def parts_by_name(modulation: AnyModulation, suffix: str = "") -> dict[str, Array]:
    """Return the parts of a modulation by their names beside a module's parameters."""
    names = _names(type(modulation), suffix)
    return {name: jnp.asarray(part) for name, part in zip(names, modulation, strict=True)}


def modulation_in(parameters: Mapping[str, Any], suffix: str = "") -> Any:
    """Return the modulation among a module's parameters, or None."""
    for kind in _KINDS:
        names = _names(kind, suffix)
        if names[0] in parameters:
            return kind(*(parameters[name] for name in names))
    return None


def subclass(base: Any, members: Mapping[str, Any], flax: type, **options: Any) -> type:
    """Return a subclass of the same name that is registered with Flax alone.

    The hooks by which ``base``'s other classes and metaclass receive a new subclass do not run:
    they may need arguments that only their author knows, or register the subclass by its name, so
    that their registry would return grafted modules from then on.

    Args:
        base: the class of a module.
        members: what the subclass adds.
        flax: the base class of Flax whose ``__init_subclass__`` is to run.
        options: arguments of that ``__init_subclass__``.
    """
    prepare: Any = flax.__init_subclass__
    hook = prepare.__func__

    def init_subclass(cls):
        # Its super() continues after the last class, hence past any that follows Flax's as well.
        last = types.CellType(cls.__mro__[-2])
        cells = dict(zip(hook.__code__.co_freevars, hook.__closure__, strict=True))
        closure = tuple((cells | {"__class__": last}).values())
        alone = types.FunctionType(
            hook.__code__, hook.__globals__, argdefs=hook.__defaults__, closure=closure
        )
        alone.__kwdefaults__ = hook.__kwdefaults__
        alone(cls, **options)

    # It precedes ``base`` and must have its layout, or no object could change its class.
    root = base
    while root.__base__.__dictoffset__:
        root = root.__base__
    first = type("Graft", (root.__base__,), {"__init_subclass__": init_subclass})
    names = ("__module__", "__qualname__", "__doc__")
    members = {**{name: getattr(base, name) for name in names}, **members}
    make: Any = abc.ABCMeta if isinstance(base, abc.ABCMeta) else type
    return make.__new__(type(base), base.__name__, (first, base), members)


def bypassed(site: str, model: str, name: str) -> UsageError:
    """Return the error for a call of a model that used a site, but not by its ``__call__``."""
    return UsageError(
        f"graft: {site} was not called, so γ and β had no effect there: {model} took its"
        f" {name!r} instead; choose a module that is called, such as the one around it"
    )


def _names(kind: type[AnyModulation], suffix: str) -> list[str]:
    # Without the letters of the shape, to which a stack of layers adds one.
    return [PREFIX + field.rpartition("_")[0] + suffix for field in kind._fields]


def chosen(paths: list[str], where: Where, model: str) -> list[str]:
    """Return the paths that a regular expression or a predicate chooses, sorted.

    Raises:
        UsageError: it chooses none, or the expression is not valid.
    """
    matching = [path for path in in_order(paths) if matches(path, where)]
    if not matching:
        choice = repr(where) if isinstance(where, str) else "the predicate"
        near = paths
        if isinstance(where, str):
            near = difflib.get_close_matches(where.replace(r"\d+", "0"), paths, n=5, cutoff=0)
        near = in_order(near)[:5]
        raise UsageError(
            f"graft: where: {choice} matches no module of {model}; expected the whole path of at"
            f" least one, such as {', '.join(map(repr, near)) or '(there is none)'}"
        )
    return matching


def stacks_of(sites: list[str], paths: list[str], stacked: Where | None) -> dict[str, str | None]:
    """Return each site's stack of layers: the outermost stacked module at or above it, if any.

    Raises:
        UsageError: no stacked module is at or above a site.
    """
    if stacked is None:
        return dict.fromkeys(sites)
    stacks = sorted((path for path in paths if matches(path, stacked)), key=len)
    stack_of = {
        site: next((one for one in stacks if f"{site}/".startswith(f"{one}/") or not one), None)
        for site in sites
    }
    if set(stack_of.values()) == {None}:
        raise UsageError(
            f"graft: stacked: expected a module at or above {', '.join(map(repr, sites[:5]))};"
            f" found {', '.join(map(repr, stacks[:5])) or 'that it matches none'}"
        )
    return stack_of


def leading_axis(parameters: Any, path: str) -> int:
    """Return the number of layers that the parameters of a stack agree on.

    Raises:
        UsageError: they do not agree, so the module is not a stack.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(parameters)]
    if () in shapes or len({shape[0] for shape in shapes}) != 1:
        raise UsageError(
            f"graft: stacked: {path!r} is not a stack of layers; expected parameters with one"
            f" leading axis, found {', '.join(map(str, shapes[:4])) or 'none'}"
        )
    return shapes[0][0]


def site_names(layers: Mapping[str, int | None]) -> list[str]:
    """Return one name per site, and per layer of those that are stacks.

    Args:
        layers: the number of layers of each module that is a stack, None for others, by path.
    """
    return [
        name
        for path in in_order([*layers])
        for name in (
            [path] if layers[path] is None else [f"{path}[{n}]" for n in range(layers[path] or 0)]
        )
    ]


def spread(
    modulation: AnyModulation | Mapping[str, AnyModulation], layers: Mapping[str, int | None]
) -> dict[str, AnyModulation]:
    """Return γ and β of each module, with a leading axis of layers if it is a stack.

    Raises:
        UsageError: paths, axes or the number of sites do not match.
    """
    if not isinstance(modulation, _KINDS):
        if set(modulation) != set(layers):
            raise UsageError(
                f"bind: expected γ and β for {', '.join(map(repr, in_order([*layers])))}; found"
                f" {', '.join(map(repr, in_order([*modulation]))) or 'none'}"
            )
        for path, part in modulation.items():
            _check(part, f"at {path!r}", layers[path])
        return dict(modulation)
    shared = jnp.ndim(modulation[0]) == len(_letters(modulation)[0])
    _check(modulation, "for all sites", None if shared else len(site_names(layers)))
    by_path, first = {}, 0
    for path in in_order([*layers]):
        count = layers[path]
        if shared:
            by_path[path] = modulation if count is None else _stack(modulation, count)
        else:
            by_path[path] = modulation.at(first if count is None else slice(first, first + count))
        first += 1 if count is None else count
    return by_path


def modulate_output(result: Any, output: int | str | None, modulation: AnyModulation, name: str):
    """Return a module's result with a modulation applied to it, or to one entry of it.

    Raises:
        UsageError: it is not features (B, …, D) that fit γ and β, or has no entry ``output``.
    """
    if output is not None:
        entries = []

        def change(path, value):
            entries.append(jax.tree_util.keystr(path, simple=True))
            if entries[-1] != str(output):
                return value
            return modulate_output(value, None, modulation, name)

        # One level deep: tuples, dicts, NamedTuples and whatever else JAX knows as a container.
        changed = jax.tree_util.tree_map_with_path(
            change, result, is_leaf=lambda x: x is not result
        )
        if str(output) not in entries:
            raise UsageError(
                f"graft: {name} returned a {type(result).__name__} without an entry {output!r};"
                f" expected output to be one of {', '.join(entries) or '(it has none)'}"
            )
        return changed
    if not isinstance(result, jax.Array):
        raise UsageError(
            f"graft: {name} returned a {type(result).__name__}, expected one array; say which entry"
            " to modulate: graft(..., output=0), or output='name'"
        )
    shift = modulation[-1]  # β, or an adapter's last bias
    expected = (result.shape[0], result.shape[-1]) if result.ndim > 1 else None
    if shift.shape != expected or not jnp.issubdtype(result.dtype, jnp.floating):
        raise UsageError(
            f"graft: {name} returned {result.dtype}{list(result.shape)}, expected floats"
            f" [B, ..., D] for {_SYMBOLS[type(modulation)]} of shape [B, D] = {list(shift.shape)}"
            + ("; if it is a stack of layers, graft(..., stacked=...)" if shift.ndim > 2 else "")
        )
    return modulate(result, modulation)


def in_order(paths: list[str]) -> list[str]:
    """Sort paths, numbers by value.

    Example:
        >>> in_order(["blocks/10", "blocks/9", "head"])
        ['blocks/9', 'blocks/10', 'head']
    """
    digits = re.compile(r"\d+")
    return sorted(paths, key=lambda path: digits.sub(lambda number: number[0].zfill(9), path))


def matches(path: str, where: Where) -> bool:
    """Return whether a regular expression or a predicate chooses a path."""
    if not isinstance(where, str):
        return bool(where(path))
    try:
        return re.fullmatch(where, path) is not None
    except re.error as error:
        raise UsageError(
            f"graft: expected a regular expression, found {where!r}: {error}"
        ) from None


def _check(modulation: AnyModulation, what: str, layers: int | None) -> None:
    leading = () if layers is None else (layers,)
    shapes = [jnp.shape(part) for part in modulation]
    *_, rows, width = (0, 0, *shapes[-1])
    sizes = {"B": rows, "D": width, "R": shapes[0][-1] if shapes[0] else 0}
    expected = [
        leading + tuple(sizes[letter] for letter in letters) for letters in _letters(modulation)
    ]
    if shapes != expected:
        prefix = "" if layers is None else f"{layers}, "
        symbols = ", ".join(f"[{prefix}{', '.join(letters)}]" for letters in _letters(modulation))
        raise UsageError(
            f"bind: expected {_SYMBOLS[type(modulation)]} {what} of shapes {symbols}; found "
            f"{', '.join(str(list(shape)) for shape in shapes)}"
        )


def _letters(modulation: AnyModulation) -> list[str]:
    return [field.rpartition("_")[2] for field in modulation._fields]


def _stack(modulation: AnyModulation, layers: int) -> AnyModulation:
    parts = (jnp.broadcast_to(part, (layers, *part.shape)) for part in modulation)
    return type(modulation)(*parts)
