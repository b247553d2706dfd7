"""One step of meta learning: every task adapts on one batch and is judged by another."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, PyTree

from taskaware.config import Meta
from taskaware.dims import Batch
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.affine import TCNParam
from taskaware.training.joint import Metrics, Step, descend, joint_loss


def adapt(
    loss: Callable[[PyTree], Float[Array, ""]],
    params: PyTree,
    rate: Float[Array, ""] | float,
    meta: Meta,
) -> PyTree:
    """Return θ' after inner steps θ ← θ - α ∇loss(θ).

    Args:
        loss: on the support batch.
        params: θ.
        rate: α.
        meta: how many steps, and whether a gradient of the result goes through them: ∂θ'/∂θ is
            Π (1 - α ∇²loss) in second order and taken to be 1 in first order.

    Source: Finn et al. 2017, "Model-Agnostic Meta-Learning"; first order in their §5.2.
    """

    def inner(params: PyTree) -> PyTree:
        slope = jax.grad(loss)(params)
        if meta.order == "first":
            slope = jax.lax.stop_gradient(slope)
        return jax.tree.map(lambda p, g: p - rate * g, params, slope)

    for _ in range(meta.inner_steps):
        params = jax.checkpoint(inner)(params) if meta.remat else inner(params)
    return params


def maml_loss(
    graphdef: nnx.GraphDef[Seq2Seq],
    params: nnx.State,
    tasks: tuple[Batch, ...],
    key: Array,
    rate_N: Float[Array, " N"],
    smoothing: float,
    meta: Meta,
) -> tuple[Float[Array, ""], Metrics]:
    """Return the mean loss a target token of all tasks' queries, and what to report.

    Every other row of a task is its support, the rest its query: where rows are split over
    devices, each device has both. The task embedding is computed from each batch's own examples,
    and the TCN's parameters stay as they are in the inner steps (paper §2.3), so that the outer
    gradient alone changes them.

    Args:
        graphdef: of the model.
        params: θ and the TCN's.
        tasks: one batch a task, twice as many rows as are judged.
        key: for shuffling and dropout.
        rate_N: α of each task of the experiment; 0 where a task does not adapt.
        smoothing: ε of the labels.
        meta: the inner steps.
    """
    slow, fast = nnx.split_state(params, TCNParam, ...)

    def loss(fast: nnx.State, batch: Batch, key: Array) -> tuple[Float[Array, ""], Metrics]:
        shuffle_key, dropout_key = jax.random.split(key)
        model = nnx.merge(graphdef, slow, fast)
        return joint_loss(model, batch, shuffle_key, dropout_key, smoothing, len(rate_N))

    def judge(batch: Batch, key: Array) -> Metrics:
        support, query = (jax.tree.map(lambda leaf, i=i: leaf[i::2], batch) for i in range(2))
        support_key, query_key = jax.random.split(key)
        rate = rate_N[support.task_B[0]]
        adapted = adapt(lambda theta: loss(theta, support, support_key)[0], fast, rate, meta)
        return loss(adapted, query, query_key)[1]

    found = []
    for alike in _same_shapes(tasks):
        together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[tasks[i] for i in alike])
        keys = jnp.stack([jax.random.fold_in(key, i) for i in alike])
        # Not one backward pass with a cotangent a task: jaxlib 0.10.2 compiles that wrongly for
        # CPUs (jax-ml/jax#39103).
        found.append(jax.vmap(judge)(together, keys))
    stacked = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found)
    metrics = {name: stacked[name].sum(0) for name in ("loss_N", "tokens_N", "frames")}
    metrics |= {name: stacked[name].mean(0) for name in ("rms", "participation")}
    return metrics["loss_N"].sum() / metrics["tokens_N"].sum(), metrics


def maml_step(
    graphdef: nnx.GraphDef[Seq2Seq],
    optimizer: optax.GradientTransformation,
    smoothing: float,
    rate_N: Float[Array, " N"],
    meta: Meta,
    trained: nnx.filterlib.Filter = ...,
) -> Step:
    """Return the step function over one batch a task, to be compiled once for all their shapes."""

    def loss(params: nnx.State, tasks: tuple[Batch, ...], key: Array):
        return maml_loss(graphdef, params, tasks, key, rate_N, smoothing, meta)

    return descend(loss, optimizer, trained)


def _same_shapes(tasks: tuple[Batch, ...]) -> list[list[int]]:
    """Return groups of tasks that can be computed side by side."""
    groups: dict[Any, list[int]] = {}
    for index, batch in enumerate(tasks):
        leaves, structure = jax.tree.flatten(batch)
        groups.setdefault((structure, *[leaf.shape for leaf in leaves]), []).append(index)
    return list(groups.values())
