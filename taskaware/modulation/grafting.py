r"""FiLM at chosen modules of any Flax NNX model, without a change to its source.

Three functions::

    model = graft(model, where=r"blocks/\d+")      # once; still the identity
    y = bind(model, modulation)(x)                # γ and β for one call
    model = ungraft(model)                        # the original classes

A chosen module becomes an instance of a subclass of its class, which applies FiLM (or another
kind of modulation: an adapter) to what ``__call__`` returns. γ and β are Variables of the module,
so every transform, inside the model or outside, passes them on like weights, and no cache of
compiled code can hold old ones, as it could with a context manager or a closure.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
from flax import nnx

from taskaware.errors import UsageError
from taskaware.modulation.calls import note_called, note_read, watched
from taskaware.modulation.modulator import AnyModulation
from taskaware.modulation.sites import (
    PREFIX,
    Where,
    chosen,
    leading_axis,
    modulate_output,
    modulation_in,
    parts_by_name,
    site_names,
    spread,
    stacks_of,
    subclass,
)

M = TypeVar("M")


@nnx.register_variable_name("graft_params")  # nnx.bridge asks for one
class GraftParam(nnx.Param):
    """γ or β (or a part of an adapter) of a grafted module, while it is bound.

    A Param, so that whatever a model does with its layers' Params (stack, scan, split, remat) is
    done to γ and β as well. A model that is not bound has none.
    """


class Site(NamedTuple):
    """How a grafted module is modulated; stored in its class."""

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
    Paths of parameters and ``isinstance`` stay the same, and, until ``bind`` gives γ and β, so does
    every output, unless the model compares exact classes: ``type(layer) is nnx.Linear`` is no
    longer true of a chosen layer. Equal grafts of equal models have equal graphdefs. A module that
    is called twice, or that is shared by two parts of the model, is one site: each call is
    modulated by the same γ and β. What bypasses ``__call__`` is not modulated: of an ``nnx.Embed``
    whose table is also the output layer, the embedding is modulated and ``attend`` is not. If a
    model bypasses ``__call__`` of a site altogether, its first bound call raises an error.

    Args:
        model: any NNX model. A chosen module must return floats (B, …, D).
        where: which modules, by path: a regular expression that matches the whole path
            (``r"encoder/blocks/\d+"``; the model itself is ``""``), or a predicate.
        output: which entry to modulate where the output is a tuple, a dict or another container.
        stacked: which modules hold many layers as one stack of parameters, for ``nnx.scan`` or
            ``nnx.vmap``; a chosen module that is one of them, or inside one, takes γ and β per
            layer.

    Raises:
        UsageError: no callable module has such a path, ``stacked`` names no stack of layers that
            holds one, or ``model`` is not an NNX model.

    Source: FiLM, Perez et al. 2018; where it is applied is the caller's choice.
    """
    if not isinstance(model, nnx.Module):
        raise UsageError(
            f"graft: expected a Flax NNX model, found a {type(model).__name__}; for a Linen model"
            " use taskaware.modulation.linen.graft"
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
        _make(module, _grafted_class(Site(base, output, layers)))
    return model


def ungraft(model: M) -> M:
    """Return a copy of a grafted model with its original classes and without γ and β.

    Parameters keep their current values, which training may have changed.
    """
    model = nnx.clone(model)
    for module in _sites(model).values():
        _clear(module)
        _make(module, _site(module).base)
    _make(model, _unbound_class(model))
    return model


def bind(model: M, modulation: AnyModulation | Mapping[str, AnyModulation]) -> M:
    """Return a view of a grafted model whose sites are modulated by γ and β.

    The view shares every Variable with ``model``: gradients, batch statistics and dropout's
    counters go where they went before, and no array is copied. It can be called inside a compiled
    step or outside.

    Args:
        model: what ``graft`` returned.
        modulation: one pair (B, D) for all sites; or one for each of ``sites_of(model)``, stacked
            (L, B, D); or by path, where a stack of layers takes (layers, B, D). An ``Adapter``
            likewise, with its weights per row instead of D.

    Raises:
        UsageError: the model has no site, or the modulation does not fit its sites; and from a call
            of the view, if it uses a site otherwise than by calling it.

    Example:
        >>> import jax.numpy as jnp
        >>> from taskaware import Modulation
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
    for path, site_modulation in spread(modulation, layers).items():
        _clear(sites[path])
        for name, part in parts_by_name(site_modulation).items():
            setattr(sites[path], name, GraftParam(part))
    if "" not in sites and _is_callable(type(model)):
        _make(model, _bound_class(_unbound_class(model)))
    return model


def modulation_by_site(
    model: nnx.Module, modulation: AnyModulation | Mapping[str, AnyModulation]
) -> dict[str, tuple[int | str | None, AnyModulation]]:
    """Return, by path, which output of each site is modulated, and its γ and β."""
    sites = {path: _site(module) for path, module in _sites(model).items()}
    modulations = spread(modulation, {path: site.layers for path, site in sites.items()})
    return {path: (site.output, modulations[path]) for path, site in sites.items()}


def sites_of(model: nnx.Module) -> list[str]:
    """Return the paths of a model's sites of modulation, sorted, numbers by value.

    A stack of layers at ``blocks`` has the sites ``blocks[0]``, ``blocks[1]``, …
    """
    return site_names({path: _site(module).layers for path, module in _sites(model).items()})


@functools.cache  # one class per kind of site, so that equal grafts have equal graphdefs
def _grafted_class(site: Site) -> type:
    def modulated(self, *args, **kwargs):
        plain: Any = super(cls, self)
        modulation = modulation_in(vars(self))
        if modulation is None:
            return plain.__call__(*args, **kwargs)
        with watched(self):
            note_called(self)
            result = plain.__call__(*args, **kwargs)
        modulation = jax.tree.map(lambda part: part[...], modulation, is_leaf=_is_variable)
        return modulate_output(result, site.output, modulation, site.base.__name__)

    read: Any = site.base.__getattribute__

    def noted(self, name):
        value = read(self, name)
        if name == "__dict__" or not name.startswith("__"):
            note_read(self, name, value)
        return value

    members = {"__getattribute__": noted, "_graft_site": site, "_graft_was_called": False}
    cls = _calling(site.base, modulated, (_grafted_class, site), members)
    return cls


@functools.cache
def _bound_class(base: type) -> type:
    """Return the class of a bound model that is not a site itself: its calls are watched."""

    def called(self, *args, **kwargs):
        with watched(self):
            plain: Any = super(cls, self)
            return plain.__call__(*args, **kwargs)

    cls = _calling(base, called, (_bound_class, base), {"_bound_base": base})
    return cls


def _unbound_class(model: Any) -> type:
    return getattr(type(model), "_bound_base", type(model))


def _calling(base: Any, call: Callable, made_by: tuple[Callable, Any], members: dict) -> type:
    def reduce(self):  # pickle cannot find this class by its name
        return _revived, (*made_by, vars(self).copy())

    members = {
        **members,
        # Whatever inspects the signature, as nnx.Sequential does, must see the original's.
        "__call__": functools.wraps(base.__call__, updated=())(call),
        "__reduce__": reduce,
    }
    return subclass(base, members, nnx.Pytree, pytree=base._pytree__is_pytree)


def _revived(make: Callable, of: Any, attributes: dict[str, Any]) -> nnx.Module:
    module = object.__new__(make(of))
    vars(module).update(attributes)
    return module


def _make(module: Any, cls: type) -> None:
    object.__setattr__(module, "__class__", cls)


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
