"""Task-aware multi-task learning over speech and text, in JAX and Flax.

Four ways in, each without the others:

* FiLM in a model of your own: ``from taskaware import film, FiLM, ExplicitTCN, ImplicitTCN``; in
  one that somebody else wrote: ``from taskaware import graft, bind``, or ``taskaware.linen``
  (``taskaware.modulation``; needs JAX and Flax alone).
* A shared model: ``from taskaware import from_pretrained`` (extra ``hub``).
* Results: the command line, ``taskaware quickstart | prepare | vocab | train | evaluate``
  (extra ``train``); from Python ``Run``, ``train``, ``restore`` and ``evaluate``.
* A look inside: ``taskaware.evaluation``.

Reading order, in which a room imports only what stands before it::

    errors ← dims ← nn ← files ← devices ← modulation ← config ← models ← data ← search ← training
    ← pretrained ← runs ← evaluation ← workflows ← commands ← cli

Inside a room the order of its files is in its docstring; the letters of shapes are named in
``taskaware.dims``. Public names are imported when they are first used, so that ``taskaware --help``
need not wait for JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
