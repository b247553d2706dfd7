"""Task-aware multi-task learning over speech and text, in JAX and Flax.

Three ways in, each without the others:

* FiLM in a model of your own: ``from taskaware import film, FiLM, ExplicitTCN, ImplicitTCN``; in
  one that somebody else wrote: ``from taskaware import graft, bind``, or ``taskaware.linen``
  (``taskaware.modulation``; needs JAX and Flax alone).
* Results: the command line, ``taskaware quickstart | prepare | vocab | train | evaluate``
  (extra ``train``; ``taskaware.run`` from Python).
* A look inside: ``taskaware.inference.embed_examples`` and ``taskaware.analysis``.

Reading order, in which a module imports only what stands before it::

    errors ← machine ← digests ← dims ← processes ← axes ← strict_json ← tensors ← config ← layers
    ← modulation ← linen ← data ← model ← single_task ← whisper ← losses ← decode ← task_vectors
    ← pretrained ← export ← train ← inference ← evaluate ← analysis ← report ← run ← fine_tuning
    ← training ← dry_run ← fit ← add_task ← results ← share ← pseudo_label ← quickstart
    ← experiment_file ← corpus_commands ← run_commands ← commands ← cli

The letters of shapes are named in ``taskaware.dims``.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOME = {
    "adapt": "taskaware.modulation",
    "film": "taskaware.modulation",
    "modulate": "taskaware.modulation",
    "FiLM": "taskaware.modulation",
    "Adapter": "taskaware.modulation",
    "Modulation": "taskaware.modulation",
    "Places": "taskaware.modulation",
    "graft": "taskaware.modulation",
    "bind": "taskaware.modulation",
    "bake": "taskaware.modulation",
    "ungraft": "taskaware.modulation",
    "places_of": "taskaware.modulation",
    "GraftParam": "taskaware.modulation",
    "TCNParam": "taskaware.modulation",
    "ExplicitTCN": "taskaware.modulation",
    "ImplicitTCN": "taskaware.modulation",
    "bidirectional_attention": "taskaware.modulation",
    "derangement": "taskaware.modulation",
    "Experiment": "taskaware.config",
    "Task": "taskaware.config",
    "Model": "taskaware.config",
    "paper_model": "taskaware.config",
    "Seq2Seq": "taskaware.model.seq2seq",
    "TaskVector": "taskaware.task_vectors",
    "TaskVectors": "taskaware.task_vectors",
    "from_pretrained": "taskaware.pretrained",
}

if TYPE_CHECKING:
    from taskaware.config import Experiment as Experiment
    from taskaware.config import Model as Model
    from taskaware.config import Task as Task
    from taskaware.config import paper_model as paper_model
    from taskaware.model.seq2seq import Seq2Seq as Seq2Seq
    from taskaware.modulation import Adapter as Adapter
    from taskaware.modulation import ExplicitTCN as ExplicitTCN
    from taskaware.modulation import FiLM as FiLM
    from taskaware.modulation import GraftParam as GraftParam
    from taskaware.modulation import ImplicitTCN as ImplicitTCN
    from taskaware.modulation import Modulation as Modulation
    from taskaware.modulation import Places as Places
    from taskaware.modulation import TCNParam as TCNParam
    from taskaware.modulation import adapt as adapt
    from taskaware.modulation import bake as bake
    from taskaware.modulation import bidirectional_attention as bidirectional_attention
    from taskaware.modulation import bind as bind
    from taskaware.modulation import derangement as derangement
    from taskaware.modulation import film as film
    from taskaware.modulation import graft as graft
    from taskaware.modulation import modulate as modulate
    from taskaware.modulation import places_of as places_of
    from taskaware.modulation import ungraft as ungraft
    from taskaware.pretrained import from_pretrained as from_pretrained
    from taskaware.task_vectors import TaskVector as TaskVector
    from taskaware.task_vectors import TaskVectors as TaskVectors


def __getattr__(name: str):
    """Import a public name when it is first used: ``taskaware --help`` need not wait for JAX."""
    if name not in _HOME:
        raise AttributeError(f"module 'taskaware' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """List the public names."""
    return [*_HOME, "__version__"]
