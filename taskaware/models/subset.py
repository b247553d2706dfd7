"""A trained model with some of its tasks and no more than their parameters."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Int

from taskaware.config import Task
from taskaware.config.wiring import Inventories
from taskaware.models.building import abstract_for
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.tcn import ExplicitTCN, ImplicitTCN, TaskTokens


def keep_tasks(model: Seq2Seq, tasks: Sequence[Task], inventories: Inventories) -> Seq2Seq:
    """Return a model without the other tasks' heads and task vectors; its answers are the same.

    Args:
        model: trained.
        tasks: those to keep.
        inventories: of the model's heads.
    """
    smaller = abstract_for(tasks, model.config, model.vocab_size, inventories)
    graphdef, wanted = nnx.split(smaller)
    weights = dict(nnx.to_flat_state(nnx.state(model))) | _conditioning(model, smaller, tasks)
    kept = [(path, weights[path].copy()) for path, _ in nnx.to_flat_state(wanted)]
    return nnx.merge(graphdef, nnx.from_flat_state(kept))


def kept_columns(model: Seq2Seq, smaller: Seq2Seq) -> Int[np.ndarray, " Z"]:
    """Return which numbers of a model's task vectors those of the smaller model are."""
    if model.modulator is None or smaller.modulator is None:
        return np.arange(model.vector_width)
    return model.modulator.columns([name for name, _ in smaller.modulator.stacks])


def _conditioning(
    model: Seq2Seq, smaller: Seq2Seq, tasks: Sequence[Task]
) -> dict[tuple, nnx.Variable]:
    """Return the parameters that have a row per task, or a column per number of its vector."""
    places = [model.tasks.index(task.name) for task in tasks]
    columns = kept_columns(model, smaller)
    changed: dict[tuple, nnx.Variable] = {}

    def put(path: tuple, variable: nnx.Variable, value) -> None:
        changed[path] = variable.replace(jnp.asarray(value))

    match model.tcn:
        case ExplicitTCN():
            kernel_NZ = model.tcn.kernel_NZ[...]
            put(("tcn", "kernel_NZ"), model.tcn.kernel_NZ, kernel_NZ[np.array(places)][:, columns])
        case ImplicitTCN():
            head = model.tcn.head
            assert head.bias is not None
            put(("tcn", "head", "kernel"), head.kernel, head.kernel[...][:, columns])
            put(("tcn", "head", "bias"), head.bias, head.bias[...][columns])
        case TaskTokens():
            assert isinstance(smaller.tcn, TaskTokens)
            rows: dict[int, int] = {}
            for place, tokens in zip(places, smaller.tcn.token_NP, strict=True):
                rows |= dict(zip(tokens, model.tcn.token_NP[place], strict=True))
            order = np.array([rows[token] for token in sorted(rows)])
            put(("tcn", "table_VD"), model.tcn.table_VD, model.tcn.table_VD[...][order])
        case None:
            pass
    if model.modulator is not None and model.modulator.sharing == "per_block_offset":
        assert smaller.modulator is not None
        sites = [
            np.arange(model.modulator.num_sites)[model.modulator.sites(name)]
            for name, _ in smaller.modulator.stacks
        ]
        offset = model.modulator.offset_LZ
        put(("modulator", "offset_LZ"), offset, offset[...][np.concatenate(sites)])
    return changed
