r"""FiLM for Flax Linen: as a layer, and grafted into any model.

::

    model = linen.graft(model, where=r"block_\d+")   # its variables do not change
    y = model.apply(variables, x, modulation=modulation)      # γ and β are an argument

While the model runs, γ and β are among the parameters of each chosen module, where a method
interceptor reads them. The interceptor holds no array, so ``nn.jit``, ``nn.remat``, ``nn.scan`` and
``jax.jit`` pass γ and β on like weights, and none can hold old ones.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from flax import linen as nn
from jaxtyping import Array, Float

from taskaware.errors import UsageError
from taskaware.modulation.affine import film
from taskaware.modulation.sites import (
    PREFIX,
    Where,
    bypassed,
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


class FiLM(nn.Module):
    """A layer that scales and shifts features by a linear function of a condition.

    It starts as the identity. Its parameters have the names and shapes of those of
    ``taskaware.FiLM``.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x, task = jnp.ones((2, 5, 8)), jnp.eye(3)[:2]
        >>> y, variables = FiLM().init_with_output(jax.random.key(0), x, task)
        >>> bool((y == x).all()), variables["params"]["kernel_ZD"].shape
        (True, (3, 16))
    """

    @nn.compact
    def __call__(
        self, x: Float[Array, "B *rest D"], condition_BZ: Float[Array, "B Z"]
    ) -> Float[Array, "B *rest D"]:
        """Return (1 + g) · x + β with [g : β] = condition · kernel + bias."""
        d_model, zeros = x.shape[-1], nn.initializers.zeros
        kernel = self.param("kernel_ZD", zeros, (condition_BZ.shape[-1], 2 * d_model))
        t = condition_BZ @ kernel + self.param("bias_D", zeros, (2 * d_model,))[None]
        return film(x, 1 + t[:, :d_model], t[:, d_model:])


def graft(
    model: M, where: Where, *, output: int | str | None = None, stacked: Where | None = None
) -> M:
    """Return a Linen model whose ``apply`` also takes ``modulation``, γ and β for chosen modules.

    Variables, ``isinstance`` and, without ``modulation``, every output stay the same; equal grafts
    of equal models are equal. Inside ``nnx.bridge.ToNNX`` it takes ``modulation`` in a call as
    well. Modules that share a path (``nn.share_scope``) are one site, the outermost of them.

    Args:
        model: any Linen model; it is not changed.
        where: which modules, by path in ``params``, as in ``taskaware.graft``; those without
            parameters of their own or below cannot be chosen.
        output: which entry to modulate where the output is a tuple, a dict or another container.
        stacked: which modules hold many layers as one stack of parameters, for ``nn.scan``.

    Raises:
        UsageError: ``model`` is not a Linen model; and from ``apply``, if no module has such a
            path, the modulation does not fit (as in ``taskaware.bind``), or the model uses a site
            by another method than ``__call__``.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"linen.graft: expected a Linen model, found a {type(model).__name__};"
            " for a Flax NNX model use taskaware.graft"
        )
    grafts = (*getattr(model, "_grafts", ()), _Graft(where, output, stacked))
    return _like(model, _grafted_class(_base(model), grafts))


def ungraft(model: M) -> M:
    """Return the Linen model that was grafted."""
    return _like(model, _base(model))


def sites_of(model: nn.Module, variables: Mapping[str, Any]) -> list[str]:
    """Return the paths of a grafted model's sites, as ``taskaware.sites_of`` does."""
    sites = _sites(model, variables["params"])
    return site_names({path: layers for path, (_, layers) in sites.items()})


class _Graft(NamedTuple):
    where: Where
    output: int | str | None
    stacked: Where | None


def _base(model: Any) -> type[nn.Module]:
    return getattr(type(model), "_graft_base", type(model))


def _like(model: Any, cls: type) -> Any:
    fields = [field.name for field in dataclasses.fields(model) if field.init]
    return cls(**{name: getattr(model, name) for name in fields if name != "parent"})


class _Calls:
    """Modulates sites while a model is applied, and notes which modules are called, by path."""

    def __init__(self, outputs: set[int | str | None], called: set[str]):
        self.called, self.used = called, dict[str, str]()
        self._outputs = outputs
        self._running: list[tuple[str, nn.Module]] = []

    def intercept(self, call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        """Run a method of a module, and modulate the result of a site's ``__call__``."""
        module, method = context.module, context.method_name
        if method != "__call__":
            if not method.startswith(("_", "<")) and not hasattr(nn.Module, method):
                self.used.setdefault("/".join(module.path), method)
            return call(*args, **kwargs)
        path = "/".join(module.path)
        # A module that shares its caller's path would see the caller's γ and β as its own.
        inner = any(one == path and other is not module for one, other in self._running)
        self._running.append((path, module))
        try:
            result = call(*args, **kwargs)
        finally:
            self._running.pop()
        self.called.add(path)
        for output in () if inner else self._outputs:
            modulation = modulation_in(module.variables.get("params", {}), _suffix(output))
            if modulation is not None:
                return modulate_output(result, output, modulation, type(module).__name__)
        return result

    def require_called(self, sites: Iterable[str], model: str) -> None:
        """Raise a UsageError for a site that was used, but never by ``__call__``."""
        for site in sites:
            if site in self.used and site not in self.called:
                raise bypassed(repr(site), model, self.used[site])


@functools.cache  # one class per kind of graft, so that equal grafts are equal
def _grafted_class(base: type[nn.Module], grafts: tuple[_Graft, ...]) -> type[nn.Module]:
    # Kept from call to call: nn.jit runs code from its cache, which interceptors do not see. A site
    # that is not used at all, such as a layer for training only in evaluation, is no error.
    bound_calls: set[str] = set()

    @nn.nowrap
    def apply(self, variables, *args, modulation=None, **kwargs):
        params = variables.get("params", {})
        parts = {}
        if modulation is not None:
            sites = _sites(self, params)
            layers = {path: layers for path, (_, layers) in sites.items()}
            for path, site_modulation in spread(modulation, layers).items():
                parts[path] = parts_by_name(site_modulation, _suffix(sites[path][0]))
        calls = _Calls({one.output for one in grafts}, bound_calls if parts else set())
        with nn.intercept_methods(calls.intercept):
            variables = {**variables, "params": _bound(params, "", parts)}
            result = base.apply(self, variables, *args, **kwargs)
        if kwargs.get("method") in (None, "__call__"):  # another method may use any sites
            calls.require_called(parts, base.__name__)
        return result

    @nn.nowrap
    def init_with_output(self, rngs, *args, modulation=None, **kwargs):
        return base.init_with_output(self, rngs, *args, **kwargs)

    members = {
        "apply": apply,
        "init_with_output": init_with_output,
        "_graft_base": base,
        "_grafts": grafts,
    }
    return subclass(base, members, nn.Module)


def _suffix(output: int | str | None) -> str:
    """Return the end of the names of γ and β beside a module's own parameters.

    The names say which output is modulated, since the cache of an inner ``nn.jit`` distinguishes
    variables by name and does not know the graft.
    """
    return "" if output is None else f"_{output!r}"


def _sites(
    model: nn.Module, params: Mapping[str, Any]
) -> dict[str, tuple[int | str | None, int | None]]:
    """Return each site's output and, if it is a stack or inside one, how many layers it has."""
    grafts: tuple[_Graft, ...] = getattr(model, "_grafts", ())
    if not grafts:
        raise UsageError(f"linen: {type(model).__name__} is not grafted; call linen.graft first")
    trees, sites = dict(_trees(params, "")), {}
    for one in grafts:  # a later graft of the same module replaces an earlier one
        chosen_here = chosen([*trees], one.where, type(model).__name__)
        for path, stack in stacks_of(chosen_here, [*trees], one.stacked).items():
            layers = None if stack is None else leading_axis(trees[stack], stack)
            sites[path] = one.output, layers
    return sites


def _trees(tree: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every module's path and parameters, outer modules first."""
    yield path, tree
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _trees(value, f"{path}/{key}".strip("/"))


def _bound(tree: Mapping[str, Any], path: str, parts: dict[str, dict]) -> dict[str, Any]:
    """Return parameters with γ and β added at the sites in ``parts``, and nowhere else."""
    params = {
        key: _bound(value, f"{path}/{key}".strip("/"), parts)
        if isinstance(value, Mapping)
        else value
        for key, value in tree.items()
        if not key.startswith(PREFIX)
    }
    return params | parts.get(path, {})
