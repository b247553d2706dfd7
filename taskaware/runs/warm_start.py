"""Starting from another run's parameters: what must agree, and what is taken over."""

import jax.numpy as jnp
from flax import nnx

from taskaware.config import Experiment
from taskaware.data.tokenizer import Tokenizer
from taskaware.errors import UsageError
from taskaware.runs.folder import Run
from taskaware.training.state import TASK_ROWS

_TASK_SIDE = ("tcn", "modulator")
"""Parts that only a model with conditioning has."""


def refuse_other_parameters(
    base: Run, experiment: Experiment, tokenizer: Tokenizer, params: nnx.State
) -> None:
    """Refuse to start from a run whose parameters mean something else, or have other shapes.

    Tasks may be added after those of ``base`` with heads of their own, and a TCN to a base without
    conditioning.

    Raises:
        UsageError: another tokenizer, other tasks or another model.
    """
    if base.tokenizer.sha256 != tokenizer.sha256:
        raise UsageError(
            f"{base.folder}: trained with another tokenizer; set tokenizer to "
            f"{base.folder / 'tokenizer.model'}"
        )
    conditioned = "vanilla" not in (
        experiment.model.conditioning,
        base.experiment.model.conditioning,
    )
    names, before = ([task.name for task in e.tasks] for e in (experiment, base.experiment))
    if conditioned and names[: len(before)] != before:
        raise UsageError(
            f"{base.folder}: its task vectors are of {', '.join(before)}, not of "
            f"{', '.join(names)}; keep its tasks, put others behind them, and name in train_on "
            "those to be trained"
        )
    base_shapes, shapes = _shapes(nnx.state(base.abstract_model())), _shapes(params)
    if not conditioned:
        shapes = {
            path: s
            for path, s in shapes.items()
            if path in base_shapes or path[0] not in _TASK_SIDE
        }
    new = set(experiment.new_heads) - {path[1] for path in base_shapes if path[0] == "heads"}
    shapes = {path: s for path, s in shapes.items() if path[:1] != ("heads",) or path[1] not in new}
    if base_shapes != shapes:
        raise UsageError(
            f"{base.folder}: its model has other parameters than this experiment's; use the same "
            "model and tasks, and name in train_on those to be trained"
        )


def taken_over(base: nnx.State, fresh: nnx.State, tasks: int) -> nnx.State:
    """Return fresh parameters, overwritten by the base run's where it has them.

    Args:
        base: parameters of the run that is started from.
        fresh: parameters of the new model.
        tasks: how many the base run has; rows of later tasks in an explicit TCN stay fresh.
    """
    flat = dict(nnx.to_flat_state(fresh))
    for path, leaf in nnx.to_flat_state(base):
        if TASK_ROWS(path, leaf):
            leaf = leaf.replace(jnp.concatenate([leaf[...], flat[path][...][tasks:]]))
        flat[path] = leaf
    return nnx.from_flat_state([*flat.items()])


def _shapes(state: nnx.State) -> dict[tuple, tuple[int, ...]]:
    """Return every parameter's shape by its path, without the number of tasks where it has one."""
    return {
        path: leaf.shape[1:] if TASK_ROWS(path, leaf) else leaf.shape
        for path, leaf in nnx.to_flat_state(state)
    }
