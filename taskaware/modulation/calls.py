"""Find the sites whose ``__call__`` a bound model bypasses, so that γ and β have no effect there.

γ and β are applied to what ``__call__`` returns. A model that multiplies by ``layer.kernel``
itself, or calls ``encoder.encode``, bypasses it, and the graft does nothing. That is an error, not
a warning: nobody can have meant it. A site that a call does not use at all, such as a head for
training only, is no error: it is modulated whenever it does run.

While the model's ``__call__`` runs, and only then, each site notes what is read from it. Under an
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

from taskaware.modulation.sites import bypassed, modulation_in

_USABLE = (nnx.Variable, nnx.Module, jax.Array, types.MethodType, functools.partial)
"""Attributes of a module that a model can compute with instead of calling it; the last two are its
methods. Others, such as a width, may be read freely.
"""


class Call:
    """How sites are used during one call of a model, by their ``id``.

    Sites themselves are not stored: one that a transform has copied holds tracers, which must not
    outlive it.
    """

    def __init__(self):
        self.called: set[int] = set()
        self.flattened: set[int] = set()  # by a transform, or whatever else takes modules apart
        self.reads: dict[int, tuple[type, str]] = {}


_call: ContextVar[Call | None] = ContextVar("call", default=None)


def note_called(site: Any) -> None:
    """Note that a bound site's ``__call__`` runs."""
    type(site)._graft_was_called = True
    if (call := _call.get()) is not None:
        call.called.add(id(site))


def note_read(site: Any, name: str, value: Any) -> None:
    """Note that an attribute of a site is read, if the site is bound."""
    if (call := _call.get()) is None or id(site) in call.called:
        return
    if name == "__dict__":
        call.flattened.add(id(site))
    elif isinstance(value, _USABLE) and not hasattr(nnx.Module, name):
        if modulation_in(object.__getattribute__(site, "__dict__")) is not None:
            call.reads.setdefault(id(site), (type(site), name))


@contextlib.contextmanager
def watched(model: nnx.Module) -> Iterator[None]:
    """Watch the sites of a bound model while its ``__call__`` runs, as a context manager.

    Raises:
        UsageError: a site was used, but not by its ``__call__``.
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
    suspects = {id: read for id, read in call.reads.items() if id not in call.called}
    if suspects:
        _judge(model, call, suspects)


def _judge(model: nnx.Module, call: Call, suspects: dict[int, tuple[type, str]]) -> None:
    paths = {id(part): ("/".join(map(str, path)), part) for path, part in nnx.iter_modules(model)}
    for site, (kind, name) in suspects.items():
        if site in paths and site not in call.flattened:
            raise bypassed(repr(paths[site][0]), type(model).__name__, name)
        # A transform calls copies, or compiled code from its cache, in which no Python runs. That
        # code was traced with sites of this class, so if none was ever called, this one is not.
        if not kind._graft_was_called:  # pyright: ignore[reportAttributeAccessIssue]
            same_kind = [repr(path) for path, part in paths.values() if type(part) is kind]
            raise bypassed(" or ".join(same_kind) or kind.__name__, type(model).__name__, name)
