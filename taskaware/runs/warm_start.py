"""What a run takes over from the run that it starts from, and what it may have besides."""

import jax.numpy as jnp
from flax import nnx

from taskaware.config import Experiment
from taskaware.data.tokenizer import Tokenizer
from taskaware.errors import UsageError
from taskaware.runs.folder import Run
from taskaware.training.state import TASK_ROWS

_TASK_SIDE = ("tcn", "modulator")
"""Parts of a model that one without conditioning does not have."""


def refuse_other_parameters(
    base: Run, experiment: Experiment, tokenizer: Tokenizer, own: nnx.State
) -> None:
    """Raise UsageError if a run's parameters mean something else than one's own, or differ.

    Tasks may stand behind those of ``base``, and a model may have a TCN that its base has not.
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
    known, wanted = _shapes(nnx.state(base.abstract_model())), _shapes(own)
    if not conditioned:
        wanted = {
            path: s for path, s in wanted.items() if path in known or path[0] not in _TASK_SIDE
        }
    if known != wanted:
        raise UsageError(
            f"{base.folder}: its model has other parameters than this experiment's; use the same "
            "model and tasks, and name in train_on those to be trained"
        )


def taken_over(known: nnx.State, own: nnx.State, tasks: int) -> nnx.State:
    """Return one's own parameters, those that are known in place of them.

    Args:
        known: of the run that is started from.
        own: fresh ones.
        tasks: how many the run knows; the rows of others in an explicit TCN stay fresh.
    """
    flat = dict(nnx.to_flat_state(own))
    for path, leaf in nnx.to_flat_state(known):
        if TASK_ROWS(path, leaf):
            leaf = leaf.replace(jnp.concatenate([leaf[...], flat[path][...][tasks:]]))
        flat[path] = leaf
    return nnx.from_flat_state([*flat.items()])


def _shapes(state: nnx.State) -> dict[tuple, tuple[int, ...]]:
    """Return every parameter's shape by its path; of rows per task, without how many there are."""
    return {
        path: leaf.shape[1:] if TASK_ROWS(path, leaf) else leaf.shape
        for path, leaf in nnx.to_flat_state(state)
    }
