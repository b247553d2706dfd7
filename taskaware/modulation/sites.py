"""What grafts of NNX and of Linen models have in common: which modules, and γ and β for each."""

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
"""What begins the names under which γ and β stand beside a module's own parameters."""

_KINDS = (Modulation, Adapter)
_SYMBOLS = {Modulation: "γ and β", Adapter: "an adapter's down, b, up and c"}


def named(modulation: AnyModulation, suffix: str = "") -> dict[str, Array]:
    """Return the parts of a modulation by the names that they have beside a module's parameters."""
    names = _names(type(modulation), suffix)
    return {name: jnp.asarray(part) for name, part in zip(names, modulation, strict=True)}


def found_in(parameters: Mapping[str, Any], suffix: str = "") -> Any:
    """Return the modulation that stands beside a module's parameters, or None."""
    for kind in _KINDS:
        names = _names(kind, suffix)
        if names[0] in parameters:
            return kind(*(parameters[name] for name in names))
    return None


def subclass(base: Any, members: Mapping[str, Any], flax: type, **options: Any) -> type:
    """Return a subclass by the same name of which Flax hears, and nobody else.

    What ``base``'s own classes and metaclass do with a new subclass is passed over: it may ask for
    arguments that only their author knows, or write it into a registry by its name, which would
    give out grafted modules from then on.

    Args:
        base: the class of a module.
        members: what the subclass adds.
        flax: Flax's own base class, whose ``__init_subclass__`` is to run.
        options: that it takes.
    """
    prepare: Any = flax.__init_subclass__
    hook = prepare.__func__

    def init_subclass(cls):
        # Its super() goes on after the last class, so past any that stands behind Flax's as well.
        last = types.CellType(cls.__mro__[-2])
        cells = dict(zip(hook.__code__.co_freevars, hook.__closure__, strict=True))
        closure = tuple((cells | {"__class__": last}).values())
        alone = types.FunctionType(
            hook.__code__, hook.__globals__, argdefs=hook.__defaults__, closure=closure
        )
        alone.__kwdefaults__ = hook.__kwdefaults__
        alone(cls, **options)

    # It stands before ``base`` and must have its layout, or no object could change its class.
    root = base
    while root.__base__.__dictoffset__:
        root = root.__base__
    first = type("Graft", (root.__base__,), {"__init_subclass__": init_subclass})
    names = ("__module__", "__qualname__", "__doc__")
    members = {**{name: getattr(base, name) for name in names}, **members}
    make: Any = abc.ABCMeta if isinstance(base, abc.ABCMeta) else type
    return make.__new__(type(base), base.__name__, (first, base), members)


def unused(site: str, model: str, name: str) -> UsageError:
    """Return what to raise where a call of a model went round a site's ``__call__``."""
    return UsageError(
        f"graft: {site} was not called, so γ and β had no effect there: {model} took its"
        f" {name!r} instead; choose a module that is called, such as the one around it"
    )


def _names(kind: type[AnyModulation], suffix: str) -> list[str]:
    # Without the letters of the shape, which a stack of layers changes.
    return [PREFIX + field.rpartition("_")[0] + suffix for field in kind._fields]


def chosen(paths: list[str], where: Where, model: str) -> list[str]:
    """Return the paths that a regular expression or a predicate chooses, sorted.

    Raises:
        UsageError: none of them, or the expression cannot be read.
    """
    found = [path for path in in_order(paths) if matches(path, where)]
    if not found:
        wanted = repr(where) if isinstance(where, str) else "the predicate"
        near = paths
        if isinstance(where, str):
            near = difflib.get_close_matches(where.replace(r"\d+", "0"), paths, n=5, cutoff=0)
        near = in_order(near)[:5]
        raise UsageError(
            f"graft: where: {wanted} matches no module of {model}; expected the whole path of at"
            f" least one, such as {', '.join(map(repr, near)) or '(there is none)'}"
        )
    return found


def stacks_of(sites: list[str], paths: list[str], stacked: Where | None) -> dict[str, str | None]:
    """Return each site's stack of layers: the outermost stacked module at or above it, if any.

    Raises:
        UsageError: modules are said to be stacked, and none is at or above a site.
    """
    if stacked is None:
        return dict.fromkeys(sites)
    stacks = sorted((path for path in paths if matches(path, stacked)), key=len)
    found = {
        site: next((one for one in stacks if f"{site}/".startswith(f"{one}/") or not one), None)
        for site in sites
    }
    if set(found.values()) == {None}:
        raise UsageError(
            f"graft: stacked: expected a module at or above {', '.join(map(repr, sites[:5]))};"
            f" found {', '.join(map(repr, stacks[:5])) or 'that it matches none'}"
        )
    return found


def leading_axis(parameters: Any, path: str) -> int:
    """Return the number of layers that the parameters of a stack agree on.

    Raises:
        UsageError: they do not, so the module is no stack.
    """
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(parameters)]
    if () in shapes or len({shape[0] for shape in shapes}) != 1:
        raise UsageError(
            f"graft: stacked: {path!r} is not a stack of layers; expected parameters with one"
            f" leading axis, found {', '.join(map(str, shapes[:4])) or 'none'}"
        )
    return shapes[0][0]


def site_names(layers: Mapping[str, int | None]) -> list[str]:
    """Return the name of every site, by paths and the number of layers of those that are stacks."""
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
    """Return each site's own γ and β, with a leading axis of layers where it is a stack.

    Raises:
        UsageError: paths, axes or how many there are do not fit the sites.
    """
    if not isinstance(modulation, _KINDS):
        if set(modulation) != set(layers):
            raise UsageError(
                f"bind: expected γ and β for {', '.join(map(repr, in_order([*layers])))}; found"
                f" {', '.join(map(repr, in_order([*modulation]))) or 'none'}"
            )
        for path, own in modulation.items():
            _check(own, f"at {path!r}", layers[path])
        return dict(modulation)
    shared = jnp.ndim(modulation[0]) == len(_letters(modulation)[0])
    _check(modulation, "for all sites", None if shared else len(site_names(layers)))
    found, first = {}, 0
    for path in in_order([*layers]):
        count = layers[path]
        if shared:
            found[path] = modulation if count is None else _stack(modulation, count)
        else:
            found[path] = modulation.at(first if count is None else slice(first, first + count))
        first += 1 if count is None else count
    return found


def modulate_output(result: Any, output: int | str | None, modulation: AnyModulation, name: str):
    """Return what a module returned with a modulation applied to it, or to the one entry of it.

    Raises:
        UsageError: it is not features (B, …, D) that fit γ and β, or ``output`` names no entry.
    """
    if output is not None:
        met = []

        def entry(path, value):
            met.append(jax.tree_util.keystr(path, simple=True))
            chosen_one = met[-1] == str(output)
            return modulate_output(value, None, modulation, name) if chosen_one else value

        # One level deep: tuples, dicts, NamedTuples and whatever else JAX knows as a container.
        changed = jax.tree_util.tree_map_with_path(entry, result, is_leaf=lambda x: x is not result)
        if str(output) not in met:
            raise UsageError(
                f"graft: {name} returned a {type(result).__name__} without an entry {output!r};"
                f" expected output to be one of {', '.join(met) or '(it has none)'}"
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
    """Say whether a regular expression or a predicate chooses a path."""
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
    found = [jnp.shape(part) for part in modulation]
    *_, rows, width = (0, 0, *found[-1])
    own = {"B": rows, "D": width, "R": found[0][-1] if found[0] else 0}
    expected = [
        leading + tuple(own[letter] for letter in letters) for letters in _letters(modulation)
    ]
    if found != expected:
        prefix = "" if layers is None else f"{layers}, "
        wanted = ", ".join(f"[{prefix}{', '.join(letters)}]" for letters in _letters(modulation))
        raise UsageError(
            f"bind: expected {_SYMBOLS[type(modulation)]} {what} of shapes {wanted}; found "
            f"{', '.join(str(list(shape)) for shape in found)}"
        )


def _letters(modulation: AnyModulation) -> list[str]:
    return [field.rpartition("_")[2] for field in modulation._fields]


def _stack(modulation: AnyModulation, layers: int) -> AnyModulation:
    parts = (jnp.broadcast_to(part, (layers, *part.shape)) for part in modulation)
    return type(modulation)(*parts)
