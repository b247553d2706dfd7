"""One step of meta learning: every task adapts on half of its rows and is scored on the rest."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key, PyTree

from taskaware.config import Meta
from taskaware.dims import Batch, Rows
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.affine import TCNParam
from taskaware.training.joint import Metrics, Step, descend, joint_sums
from taskaware.training.objective import Objective, Sums, head_passes

Rate = Float[Array, ""] | float


def adapt(
    loss: Callable[[PyTree], Float[Array, ""]],
    params: PyTree,
    rate: Rate,
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
    batch: Batch,
    key: Key[Array, ""],
    rates: Mapping[str, Rate],
    how: Objective,
    meta: Meta,
    progress: Float[Array, ""] | float = 1.0,
) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of all tasks' queries, as ``joint_sums`` adds it up, and metrics.

    Every other row of a task is its support, the rest its query: where rows are split over
    devices, each device has both. Task vectors are computed within each half, and the
    inner steps leave the TCN's parameters alone (paper §2.3): only the outer gradient changes them.

    Args:
        graphdef: of the model.
        params: θ and the TCN's.
        batch: of each task twice as many rows as are scored.
        key: for shuffling and dropout.
        rates: α of each task, by its name; 0 where a task does not adapt.
        how: label smoothing, and the weights of tasks.
        meta: the inner steps.
        progress: as in ``joint_sums``.

    Returns:
        As ``joint_loss``, over the queries; ``rms`` and ``participation`` are means over tasks.
    """
    slow, fast = nnx.split_state(params, TCNParam, ...)
    model = nnx.merge(graphdef, params)
    names = model.order(batch).names

    def judge(alike: str, rows: Rows, task: Int[Array, ""], rate: Rate, key: Key[Array, ""]):
        """Return a task's sums and metrics, under the name of one with the same shapes."""

        def loss(fast: nnx.State, half: Rows, key: Key[Array, ""]):
            shuffle_key, dropout_key = jax.random.split(key)
            merged, task_B = nnx.merge(graphdef, slow, fast), jnp.full(len(half.counts_B), task)
            keys = shuffle_key, dropout_key
            return joint_sums(merged, {alike: half}, *keys, how, progress, task_B)

        support, query = (jax.tree.map(lambda leaf, i=i: leaf[i::2], rows) for i in range(2))
        support_key, query_key = jax.random.split(key)
        adapted = adapt(lambda theta: loss(theta, support, support_key)[0].loss, fast, rate, meta)
        return loss(adapted, query, query_key)

    per_group = []
    for group in _same_shapes(model, batch, names, how):
        together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[batch[n] for n in group])
        tasks = jnp.array([model.tasks.index(name) for name in group])
        alphas = jnp.stack([jnp.asarray(rates[name]) for name in group])
        # As constants XLA would move them through the products of the second order.
        tasks, alphas = jax.lax.optimization_barrier((tasks, alphas))
        keys = jnp.stack([jax.random.fold_in(key, names.index(name)) for name in group])
        # Not one backward pass with a cotangent per task: jaxlib 0.10.2 compiles that wrongly for
        # CPUs (jax-ml/jax#39103).
        of_one = functools.partial(judge, group[0])
        per_group.append(jax.vmap(of_one)(together, tasks, alphas, keys))
    sums, stacked = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *per_group)
    metrics = {name: stacked[name].sum(0) for name in ("loss_N", "tokens_N", "frames")}
    metrics |= {name: stacked[name].mean(0) for name in ("rms", "participation")}
    return Sums(*(leaf.sum(0) for leaf in sums)).loss, metrics


def maml_step(
    graphdef: nnx.GraphDef[Seq2Seq],
    optimizer: optax.GradientTransformation,
    how: Objective,
    rates: Mapping[str, Rate],
    meta: Meta,
    trained: nnx.filterlib.Filter = ...,
) -> Step:
    """Return the step function, to be compiled once for all shapes of the tasks' rows."""

    def loss(params: nnx.State, batch: Batch, key: Key[Array, ""], number: Int[Array, ""]):
        progress = how.progress(number)
        return maml_loss(graphdef, params, batch, key, rates, how, meta, progress)

    return descend(loss, optimizer, trained)


def _same_shapes(
    model: Seq2Seq, batch: Batch, names: Sequence[str], how: Objective
) -> list[list[str]]:
    """Return groups of tasks with the same heads and shapes, to be computed together."""
    groups: dict[Any, list[str]] = {}
    for name in names:
        leaves, structure = jax.tree.flatten(batch[name])
        heads = tuple(one.head for one in head_passes(model, [name], how))
        groups.setdefault((heads, structure, *[x.shape for x in leaves]), []).append(name)
    return list(groups.values())
