"""One step of joint learning: every task's rows in one batch, every parameter shared."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Key

from taskaware.dims import Batch
from taskaware.models.seq2seq import Seq2Seq
from taskaware.modulation.tcn import derangement
from taskaware.nn.losses import cross_entropy_of_stream, stream_health
from taskaware.training.state import TrainState

Metrics = dict[str, Array]
Step = Callable[[TrainState, Any], tuple[TrainState, Metrics]]
"""From a state and a batch, in the form that the strategy asks for, to the next state."""


def joint_loss(
    model: Seq2Seq,
    batch: Batch,
    shuffle_key: Key[Array, ""],
    dropout_key: Key[Array, ""] | None,
    smoothing: float,
    num_tasks: int,
) -> tuple[Float[Array, ""], Metrics]:
    """Return the mean loss a target token, and what to report; no dropout without its key.

    Each row is modulated by the task embedding of another row of its task, so that the
    embedding can say what the task is and not what the answer is (paper §2.3). Rows without a
    target only fill the batch: they count for nothing and give no row their embedding.
    """
    embedded = model.embed(batch)
    vector_BZ = model.task_vector(embedded, batch.task_B)
    if vector_BZ is not None:
        group_B = jnp.where(embedded.mask_BT.any(1), batch.task_B, -1)  # fillers among themselves
        vector_BZ = vector_BZ[derangement(shuffle_key, group_B)]
    output = model(embedded, vector_BZ, dropout_key)
    loss_BT = cross_entropy_of_stream(model.logits, output.decoder_BTD, batch.target_BT, smoothing)
    loss_B = jnp.where(embedded.mask_BT, loss_BT, 0).sum(1)
    tokens_B = embedded.mask_BT.sum(1)
    rms, participation = stream_health(output.decoder_BTD, embedded.mask_BT)
    metrics = {
        "loss_N": jax.ops.segment_sum(loss_B, batch.task_B, num_tasks),
        "tokens_N": jax.ops.segment_sum(tokens_B, batch.task_B, num_tasks),
        "frames": jnp.int32(0) if batch.speech is None else batch.speech.length_B.sum(),
        "rms": rms,
        "participation": participation,
    }
    return loss_B.sum() / tokens_B.sum(), metrics


def joint_step(
    graphdef: nnx.GraphDef[Seq2Seq],
    optimizer: optax.GradientTransformation,
    smoothing: float,
    num_tasks: int,
    trained: nnx.filterlib.Filter = ...,
) -> Step:
    """Return the step function, to be compiled once a batch shape."""

    def loss(params: nnx.State, batch: Batch, key: Key[Array, ""]):
        shuffle_key, dropout_key = jax.random.split(key)
        merged = nnx.merge(graphdef, params)
        return joint_loss(merged, batch, shuffle_key, dropout_key, smoothing, num_tasks)

    return descend(loss, optimizer, trained)


def descend(
    loss: Callable[[nnx.State, Any, Key[Array, ""]], tuple[Float[Array, ""], Metrics]],
    optimizer: optax.GradientTransformation,
    trained: nnx.filterlib.Filter = ...,
) -> Step:
    """Return the step function that follows a loss's gradient.

    A batch whose loss or gradient is not finite changes neither parameters nor optimizer; it is
    counted as a step, and as ``skipped`` in what is reported.

    Two compilations of a gradient, or two processors, differ by some 3e-7 of its norm; but where a
    ReLU's input is zero but for rounding, by that unit's share of it, 1e-5 to 1e-3. Either is a
    gradient of the loss, and training does not suffer.

    Args:
        loss: (parameters, batch, the step's own key) → (loss, what to report).
        optimizer: turns the gradient into an update.
        trained: which parameters change, as in ``initial_state``.
    """

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        own = nnx.filter_state(state.params, trained)

        def loss_of(own: nnx.State):
            return loss(nnx.merge_state(state.params, own), batch, key)

        (value, metrics), gradient = jax.value_and_grad(loss_of, has_aux=True)(own)
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(value) & jnp.isfinite(norm)
        update, opt_state = optimizer.update(gradient, state.opt_state, own)
        own, opt_state = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old),
            (optax.apply_updates(own, update), opt_state),
            (own, state.opt_state),
        )
        params = nnx.merge_state(state.params, own)
        metrics |= {"gradient_norm": norm, "skipped": ~finite}
        return TrainState(state.step + 1, params, opt_state, state.key), metrics

    return step
