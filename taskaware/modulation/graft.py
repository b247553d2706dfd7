r"""FiLM at chosen modules of a Flax NNX model that somebody else wrote, its source untouched.

Three verbs::

    model = graft(model, where=r"blocks/\d+")      # once; still the identity
    y = bind(model, modulation)(x)                # γ and β for one call
    model = ungraft(model)                        # the classes that it had

A chosen module becomes an instance of a subclass of its own class, which applies FiLM (or another
kind of modulation: an adapter) to what ``__call__`` returns. γ and β reach it as Variables of the
module. So every transform, inside the model or outside, hands them on as it hands on weights, and
no cache of compiled code can hold an old one. A context manager or a closure could.
"""

import difflib
import functools
import re
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array

from taskaware.errors import UsageError
from taskaware.modulation.adapter import Adapter
from taskaware.modulation.film import Modulation
from taskaware.modulation.places import AnyModulation, modulate

M = TypeVar("M")

Where = str | Callable[[str], bool]
"""A regular expression for a whole path such as "blocks/0/mlp", or a predicate of the path."""

PREFIX = "graft_"
"""What begins the names under which γ and β stand beside a module's own parameters."""

_KINDS = (Modulation, Adapter)
_SYMBOLS = {Modulation: "γ and β", Adapter: "an adapter's down, b, up and c"}


@nnx.register_variable_name("graft_params")  # nnx.bridge asks for one
class GraftParam(nnx.Param):
    """γ or β (or a part of an adapter) of a grafted module, while it is bound.

    A Param, so that whatever a model does with its layers' Params (stack, scan, split, remat) it
    does with γ and β as well. A model that is not bound has none.
    """


class Site(NamedTuple):
    """How a grafted module is modulated: what its class knows beside its own code."""

    base: type
    output: int | str | None
    layers: int | None  # how many layers its Variables are stacks of


def graft(
    model: M,
    where: Where,
    *,
    output: int | str | None = None,
    stacked: Where | None = None,
) -> M:
    r"""Return a copy of a model in which the output of chosen modules can be modulated.

    The copy shares the arrays but not the Variables, so training it leaves ``model`` as it was.
    Paths of parameters, ``isinstance`` and, until ``bind`` gives γ and β, every output stay the
    same. Two equal grafts of two equal models have equal graphdefs. A module that is called twice,
    or that stands in two places, is one site: each call is modulated by the same γ and β. A call
    that names the class, ``Block.__call__(block, x)``, goes round it.

    Args:
        model: any NNX model. What a chosen module returns is to be floats (B, …, D).
        where: which modules, by path: a regular expression that matches the whole path
            (``r"encoder/blocks/\d+"``; the model itself is ``""``), or a predicate.
        output: which entry to modulate where the output is a tuple, a dict or another container.
        stacked: which modules hold many layers as one stack of parameters, for ``nnx.scan`` or
            ``nnx.vmap``; a chosen module that is one of them, or inside one, takes γ and β of
            every layer.

    Raises:
        UsageError: no module that can be called has such a path, ``stacked`` names no stack of
            layers that holds one, or ``model`` is not an NNX model.

    Source: FiLM, Perez et al. 2018; where it is put is the caller's choice.
    """
    if not isinstance(model, nnx.Module):
        raise UsageError(
            f"graft: expected a Flax NNX model, found a {type(model).__name__}; for a Linen model"
            " use taskaware.linen.graft"
        )
    model = nnx.clone(model)
    modules = {_path(path): module for path, module in nnx.iter_modules(model)}
    callable_paths = [path for path, module in modules.items() if _is_callable(type(module))]
    sites = chosen(callable_paths, where, type(model).__name__)
    for path, stack in stacks_of(sites, [*modules], stacked).items():
        layers = None
        if stack is not None:
            layers = leading_axis(nnx.state(modules[stack], nnx.Param), stack)
        module = modules[path]
        base = _site(module).base if _is_site(module) else type(module)
        object.__setattr__(module, "__class__", _grafted_class(Site(base, output, layers)))
    return model


def ungraft(model: M) -> M:
    """Return a copy of a grafted model that is as it was: its own classes, no γ, no β.

    Parameters have the values that they have now, which training may have changed.
    """
    model = nnx.clone(model)
    for module in _sites(model).values():
        _clear(module)
        object.__setattr__(module, "__class__", _site(module).base)
    return model


def bind(model: M, modulation: AnyModulation | Mapping[str, AnyModulation]) -> M:
    """Return a view of a grafted model whose outputs are modulated by the given γ and β.

    The view shares every Variable with ``model``: gradients, batch statistics and dropout's
    counters go where they went before. It costs no copy of an array. To be called inside a
    compiled step or outside.

    Args:
        model: what ``graft`` returned.
        modulation: one pair (B, D) for all places; or one for each of ``places_of(model)``, stacked
            (L, B, D); or by path, where a stack of layers takes (layers, B, D). An ``Adapter``
            likewise, one row's weights in place of D.

    Raises:
        UsageError: the model has no site, or the modulation does not fit its sites.

    Example:
        >>> model = graft(nnx.Sequential(nnx.Linear(2, 3, rngs=nnx.Rngs(0))), where=r"layers/0")
        >>> twice = bind(model, Modulation(jnp.full((4, 3), 2.0), jnp.zeros((4, 3))))
        >>> x = jnp.ones((4, 2))
        >>> bool((twice(x) == 2 * model(x)).all())
        True
    """
    model = nnx.clone(model, variables=False)
    sites = _sites(model)
    if not sites:
        raise UsageError(f"bind: {type(model).__name__} has no grafted module; call graft first")
    layers = {path: _site(module).layers for path, module in sites.items()}
    for path, own in spread(modulation, layers).items():
        _clear(sites[path])
        for name, part in named(own).items():
            setattr(sites[path], name, GraftParam(part))
    return model


def sites_of(
    model: nnx.Module, modulation: AnyModulation | Mapping[str, AnyModulation]
) -> dict[str, tuple[int | str | None, AnyModulation]]:
    """Return, by path, which output of each site is modulated, and its own γ and β."""
    sites = {path: _site(module) for path, module in _sites(model).items()}
    own = spread(modulation, {path: site.layers for path, site in sites.items()})
    return {path: (site.output, own[path]) for path, site in sites.items()}


def places_of(model: nnx.Module) -> list[str]:
    """Return the paths of a model's places of modulation, sorted, numbers as numbers.

    A stack of layers at ``blocks`` has the places ``blocks[0]``, ``blocks[1]``, …
    """
    return place_names({path: _site(module).layers for path, module in _sites(model).items()})


@functools.cache  # one class a kind of site, so that equal grafts have equal graphdefs
def _grafted_class(site: Site) -> type:
    def modulated(self, *args, **kwargs):
        plain: Any = super(cls, self)
        result = plain.__call__(*args, **kwargs)
        modulation = found_in(vars(self))
        if modulation is None:
            return result
        modulation = jax.tree.map(lambda part: part[...], modulation, is_leaf=_is_variable)
        return modulate_output(result, site.output, modulation, site.base.__name__)

    def reduce(self):
        return _revived, (site, vars(self).copy())

    members = {
        # Whoever looks at the signature, as nnx.Sequential does, is to see the original's.
        "__call__": functools.wraps(site.base.__call__, updated=())(modulated),
        "__reduce__": reduce,  # pickle cannot find this class by its name
        "__module__": site.base.__module__,
        "__qualname__": site.base.__qualname__,
        "__doc__": site.base.__doc__,
        "_graft_site": site,
    }
    options = {} if site.base._pytree__is_pytree else {"pytree": False}
    cls = types.new_class(site.base.__name__, (site.base,), options, lambda d: d.update(members))
    return cls


def _revived(site: Site, attributes: dict[str, Any]) -> nnx.Module:
    module = object.__new__(_grafted_class(site))
    vars(module).update(attributes)
    return module


def _path(parts: tuple) -> str:
    return "/".join(map(str, parts))


def _is_site(module: nnx.Module) -> bool:
    return hasattr(type(module), "_graft_site")


def _site(module: nnx.Module) -> Site:
    return type(module)._graft_site  # pyright: ignore[reportAttributeAccessIssue]


def _sites(model: Any) -> dict[str, nnx.Module]:
    return {_path(path): m for path, m in nnx.iter_modules(model) if _is_site(m)}


def _is_variable(node: Any) -> bool:
    return isinstance(node, nnx.Variable)


def _is_callable(cls: type) -> bool:
    return any("__call__" in vars(parent) for parent in cls.__mro__)


def _clear(module: nnx.Module) -> None:
    for name in [name for name in vars(module) if name.startswith(PREFIX)]:
        delattr(module, name)


# What the Linen twin of this module (taskaware.linen) has in common with it.


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


def place_names(layers: Mapping[str, int | None]) -> list[str]:
    """Return one name a place for sites and the number of layers of those that are stacks."""
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
        UsageError: paths, axes or the number of places are not those of the sites.
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
    _check(modulation, "for all places", None if shared else len(place_names(layers)))
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
