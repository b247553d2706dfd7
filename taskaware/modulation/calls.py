"""Which sites of a bound model a call of it went round: used, but not by their ``__call__``.

γ and β reach what ``__call__`` returns. A model that multiplies by ``layer.kernel`` itself, or
calls ``encoder.encode``, goes round it, and the graft does nothing. That is an error, not a
warning: nobody can have meant it. But only that: a site that a call leaves alone altogether, such
as a head of training only, is modulated whenever it does run.

While the model's ``__call__`` runs, and only then, each site notes what is taken from it. Under an
outer ``jax.jit`` that is while it is traced.
"""

import contextlib
import functools
import types
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import jax
from flax import nnx

from taskaware.modulation.sites import found_in, unused

_TAKEN = (nnx.Variable, nnx.Module, jax.Array, types.MethodType, functools.partial)
"""What a model can compute with in a module's place; the last two are its methods. Other
attributes, such as a width, may be looked at."""


class Call:
    """What is done to sites, known by their ``id``, during one call of a model.

    No site itself is kept: one that a transform has copied holds tracers, which may not outlive it.
    """

    def __init__(self):
        self.called: set[int] = set()
        self.handed_on: set[int] = set()  # to a transform, or to whatever else takes modules apart
        self.taken: dict[int, tuple[type, str]] = {}


_call: ContextVar[Call | None] = ContextVar("call", default=None)


def note_called(site: Any) -> None:
    """Note that a bound site's ``__call__`` runs."""
    type(site)._graft_was_called = True
    if (call := _call.get()) is not None:
        call.called.add(id(site))


def note_taken(site: Any, name: str, value: Any) -> None:
    """Note that an attribute of a site is read, if the site is bound."""
    if (call := _call.get()) is None or id(site) in call.called:
        return
    if name == "__dict__":
        call.handed_on.add(id(site))
    elif isinstance(value, _TAKEN) and not hasattr(nnx.Module, name):
        if found_in(object.__getattribute__(site, "__dict__")) is not None:
            call.taken.setdefault(id(site), (type(site), name))


@contextlib.contextmanager
def watched(model: nnx.Module) -> Iterator[None]:
    """Watch the sites of a bound model while its ``__call__`` runs, as a context.

    Raises:
        UsageError: a site was used, and not by its ``__call__``.
    """
    if _call.get() is not None:  # a call within a call
        yield
        return
    call = Call()
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)
    suspects = {id: told for id, told in call.taken.items() if id not in call.called}
    if suspects:
        _judge(model, call, suspects)


def _judge(model: nnx.Module, call: Call, suspects: dict[int, tuple[type, str]]) -> None:
    paths = {id(part): ("/".join(map(str, path)), part) for path, part in nnx.iter_modules(model)}
    for site, (kind, name) in suspects.items():
        if site in paths and site not in call.handed_on:
            raise unused(repr(paths[site][0]), type(model).__name__, name)
        # A transform calls copies, or compiled code that it has kept, in which no Python runs any
        # more. That code was traced with sites of this class, so if none ever was called, none is.
        if not kind._graft_was_called:  # pyright: ignore[reportAttributeAccessIssue]
            alike = [repr(path) for path, part in paths.values() if type(part) is kind]
            raise unused(" or ".join(alike) or kind.__name__, type(model).__name__, name)
