"""One step of joint learning: every task's rows in one batch, every parameter shared."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from taskaware.devices.sharding import constrain
from taskaware.dims import Batch, Rows, Speech
from taskaware.models.joining import RowOrder
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.tcn import derangement
from taskaware.nn.layers import split_key
from taskaware.nn.losses import stream_health
from taskaware.training.objective import (
    HeadInputs,
    Objective,
    Sums,
    head_loss,
    head_passes,
    sums_of,
)
from taskaware.training.state import TrainState

Metrics = dict[str, Array]
Step = Callable[[TrainState, Any], tuple[TrainState, Metrics]]
"""From a state and a batch to the next state."""


def joint_loss(*args: Any) -> tuple[Float[Array, ""], Metrics]:
    """Return the loss of a batch, and metrics: ``joint_sums`` divided, of the same arguments."""
    sums, metrics = joint_sums(*args)
    return sums.loss, metrics


def joint_sums(
    model: Seq2Seq,
    batch: Batch,
    shuffle_key: Key[Array, ""],
    dropout_key: Key[Array, ""] | None,
    how: Objective,
    progress: Float[Array, ""] | float = 1.0,
    task_B: Int[Array, " B"] | None = None,
) -> tuple[Sums, Metrics]:
    """Return the sums that a batch's loss is made of, and metrics.

    The loss is the sum, over heads, of the mean loss per judged token, position, frame or row of
    all tasks that share the head. Each row is modulated by the task vector of another row of its
    task, so that the vector carries the task and not the answer (paper §2.3). Rows that do not
    count add no loss, but may lend their vector to others if they have a target.

    Args:
        model: of the tasks.
        batch: rows of some of them.
        shuffle_key: for drawing the row that each row takes its task vector from.
        dropout_key: for dropout; None for none.
        how: label smoothing, and the weights of tasks.
        progress: of training, from 0 to 1: adversarial gradients grow with it.
        task_B: the task of each joined row, in place of the batch's names: for one program that
            serves several tasks.

    Returns:
        The sums. Metrics: ``loss_N`` and ``tokens_N``, the summed loss and the number of judged
        tokens, positions, frames or rows of each task, in the model's order; ``frames`` of speech
        (10 ms each); and ``rms`` and ``participation`` of the first head's stream, see
        ``stream_health``.
    """
    order, embedded = model.order(batch), model.embed(batch)
    rows = [batch[name] for name in order.names]
    task = model.task_of_rows(batch) if task_B is None else task_B
    vector_BZ = model.task_vector(embedded, task)
    if vector_BZ is not None:
        group_B = jnp.where(embedded.mask_BT.any(1), task, -1)  # rows without a target form a group
        vector_BZ = _of_donors(vector_BZ, group_B, order, shuffle_key)
    encoder_key, heads_key = split_key(dropout_key, 2)
    memory = model.encode(embedded.x_BSD, embedded.mask_BS, vector_BZ, encoder_key)
    counts_B = order.join([one.counts_B for one in rows])
    inputs = HeadInputs(embedded.y_BTD, memory, vector_BZ, counts_B, task)
    num_tasks, health = len(model.tasks), None
    loss_N, judged_N = jnp.zeros(num_tasks), jnp.zeros(num_tasks)
    total: Sums | None = None
    for place, one in enumerate(head_passes(model, order.names, how)):
        of_head = jax.tree.map(functools.partial(order.select, names=one.tasks), inputs)
        target = order.of(one.tasks).join_trees([batch[name].target for name in one.tasks])
        head_key = heads_key
        if place and heads_key is not None:
            head_key = jax.random.fold_in(heads_key, place)
        losses, stream = head_loss(model, one.head, of_head, target, head_key, how, progress)
        sums = sums_of(model, one, losses, of_head.task_B)
        total = sums if total is None else jax.tree.map(jnp.add, total, sums)
        if one.is_main:
            loss_N += jax.ops.segment_sum(losses.loss_B, of_head.task_B, num_tasks)
            judged_N += jax.ops.segment_sum(losses.judged_B, of_head.task_B, num_tasks)
        health = health or stream_health(*stream)
    assert total is not None and health is not None
    metrics = {
        "loss_N": loss_N,
        "tokens_N": judged_N,
        "frames": sum(map(_frames, rows), jnp.int32(0)),
        "rms": health[0],
        "participation": health[1],
    }
    return total, metrics


def _of_donors(
    vector_BZ: Float[Array, "B Z"], group_B: Int[Array, " B"], order: RowOrder, key: Key[Array, ""]
) -> Float[Array, "B Z"]:
    """Return for each row the vector of another row of its group, whatever the number of devices.

    Every device receives all vectors and takes those for its rows.
    """
    if order.parts == 1:
        return vector_BZ[derangement(key, group_B)]
    position_B = order.positions()
    row_at = jnp.array(np.argsort(position_B))
    donor_B = derangement(key, constrain(group_B, None)[row_at])
    return constrain(vector_BZ, None, None)[row_at[donor_B[position_B]]]


def _frames(rows: Rows) -> Int[Array, ""] | int:
    if not isinstance(rows.source, Speech):
        return 0
    return jnp.where(rows.counts_B, rows.source.length_B, 0).sum()


def joint_step(
    graphdef: nnx.GraphDef[Seq2Seq],
    optimizer: optax.GradientTransformation,
    how: Objective,
    trained: nnx.filterlib.Filter = ...,
) -> Step:
    """Return the step function, to be compiled once per shape and tasks of a batch."""

    def loss(params: nnx.State, batch: Batch, key: Key[Array, ""], number: Int[Array, ""]):
        shuffle_key, dropout_key = jax.random.split(key)
        merged, progress = nnx.merge(graphdef, params), how.progress(number)
        return joint_loss(merged, batch, shuffle_key, dropout_key, how, progress)

    return descend(loss, optimizer, trained)


def descend(
    loss: Callable[
        [nnx.State, Any, Key[Array, ""], Int[Array, ""]], tuple[Float[Array, ""], Metrics]
    ],
    optimizer: optax.GradientTransformation,
    trained: nnx.filterlib.Filter = ...,
) -> Step:
    """Return the step function that follows a loss's gradient.

    A batch whose loss or gradient is not finite changes neither parameters nor optimizer; it is
    counted as a step, and as ``skipped`` in what is reported.

    Gradients of two compilations, or of two processors, differ by some 3e-7 of their norm; where
    rounding decides the sign of a ReLU's input, by that unit's share, 1e-5 to 1e-3. Either is a
    gradient of the loss, and training does not suffer.

    Args:
        loss: (parameters, batch, key of the step, number of steps before) → (loss, metrics).
        optimizer: turns the gradient into an update.
        trained: which parameters change, as in ``initial_state``.
    """

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        weights = nnx.filter_state(state.params, trained)

        def loss_of(weights: nnx.State):
            return loss(nnx.merge_state(state.params, weights), batch, key, state.step)

        (value, metrics), gradient = jax.value_and_grad(loss_of, has_aux=True)(weights)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        update, opt_state = optimizer.update(gradient, state.opt_state, weights)
        weights, opt_state = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old),
            (optax.apply_updates(weights, update), opt_state),
            (weights, state.opt_state),
        )
        params = nnx.merge_state(state.params, weights)
        metrics |= {"gradient_norm": norm, "skipped": ~finite}
        return TrainState(state.step + 1, params, opt_state, state.key), metrics

    return step
