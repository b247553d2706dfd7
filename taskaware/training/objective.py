"""The loss of each head over the rows of its tasks, and how the losses are added up."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from taskaware.config import Experiment
from taskaware.dims import PAD, FrameLabels, Label, Number, Tags, Target, Tokens
from taskaware.models.heads.base import Encoded, RowLoss
from taskaware.models.heads.ctc import CTC
from taskaware.models.heads.decoder import Decoder
from taskaware.models.heads.pooled import LabelHead, NumberHead
from taskaware.models.heads.positions import FrameHead, TagHead
from taskaware.models.seq2seq import Memory, Seq2Seq
from taskaware.nn.reversal import reversal_rate, reverse_gradient


class Objective(NamedTuple):
    """How losses are taken and weighted. Everything by task is in the model's order."""

    smoothing: float = 0.0
    """ε of label smoothing, of decoders alone."""
    weights: tuple[float, ...] | None = None
    """Of each task; None for 1."""
    ctc_weights: tuple[float, ...] | None = None
    """Of each task, the share of the head ``ctc`` beside its decoder; None for 0."""
    reversals: tuple[float, ...] | None = None
    """Of each task, what its adversarial gradient's factor grows to; None where none is."""
    batches: int = 0
    """Until the end of training, over which that factor grows; 0 without adversarial tasks."""

    def progress(self, number: Int[Array, ""]) -> Float[Array, ""] | float:
        """Return how much of training is done before a batch of that number, from 0 to 1."""
        return number / self.batches if self.batches else 1.0


def objective_of(experiment: Experiment, batches: int) -> Objective:
    """Return an experiment's objective, given the number of its last batch."""
    tasks = experiment.tasks
    adversarial = any(task.role == "adversarial" for task in tasks)
    plain = all(task.weight == 1 for task in tasks)
    return Objective(
        experiment.optimizer.label_smoothing,
        None if plain else tuple(task.weight for task in tasks),
        tuple(t.ctc_weight for t in tasks) if any(t.ctc_weight for t in tasks) else None,
        tuple(task.reversal for task in tasks) if adversarial else None,
        batches if adversarial else 0,
    )


class HeadInputs(NamedTuple):
    """Some joined rows after the encoder."""

    y_BTD: Float[Array, "B T D"]
    """Their targets as vectors."""
    memory: Memory
    vector_BZ: Float[Array, "B Z"] | None
    counts_B: Bool[Array, " B"]
    task_B: Int[Array | np.ndarray, " B"]


class Sums(NamedTuple):
    """What a batch's loss is made of, additive over batches."""

    weighted_G: Float[Array, " G"]
    """Per head, the weighted losses of its rows."""
    judged_G: Float[Array, " G"]
    """Per head, how many tokens, positions, frames or rows these are."""

    @property
    def loss(self) -> Float[Array, ""]:
        """The sum over heads of the mean loss; a head without rows adds nothing."""
        some_G = self.judged_G > 0
        return jnp.where(some_G, self.weighted_G / jnp.where(some_G, self.judged_G, 1), 0).sum()


class Pass(NamedTuple):
    """One head over the rows of some tasks."""

    head: str
    tasks: tuple[str, ...]
    shares: tuple[float, ...] | None
    """Of every task of the model, the weight of this loss; None for 1."""
    is_main: bool = True
    """Whether it is these tasks' loss, and not one beside it."""


def head_passes(model: Seq2Seq, tasks: Sequence[str], how: Objective) -> list[Pass]:
    """Return which heads are run over the rows of some tasks."""
    one_each = (1.0,) * len(model.tasks)
    weights, ctc = how.weights or one_each, how.ctc_weights
    joint = [task for task in tasks if ctc is not None and ctc[model.tasks.index(task)]]
    mains = how.weights
    if ctc is not None:
        mains = tuple(w * (1 - share) for w, share in zip(weights, ctc, strict=True))
    those = [Pass(head, tuple(names), mains) for head, names in model.by_head(tasks).items()]
    if joint:
        assert ctc is not None
        shares = tuple(w * share for w, share in zip(weights, ctc, strict=True))
        those.append(Pass("ctc", tuple(joint), shares, is_main=False))
    return those


def sums_of(
    model: Seq2Seq, one: Pass, losses: RowLoss, task_B: Int[Array | np.ndarray, " B"]
) -> Sums:
    """Return one head's losses, weighted, as sums over all heads."""
    loss_B = losses.loss_B
    if one.shares is not None:
        loss_B = jnp.asarray(one.shares)[task_B] * loss_B
    place = [head.name for head in model.wiring.heads].index(one.head)
    zeros_G = jnp.zeros(len(model.wiring.heads))
    return Sums(zeros_G.at[place].set(loss_B.sum()), zeros_G.at[place].set(losses.judged_B.sum()))


def head_loss(
    model: Seq2Seq,
    name: str,
    inputs: HeadInputs,
    target: Target,
    key: Key[Array, ""] | None,
    how: Objective,
    progress: Float[Array, ""] | float,
) -> tuple[RowLoss, Encoded]:
    """Return a head's loss over rows of its tasks, and the stream that it is taken from.

    Args:
        model: with that head.
        name: of the head.
        inputs: the rows after the encoder.
        target: their targets.
        key: for dropout in a decoder; None for none.
        how: smoothing and weights.
        progress: as in ``joint_loss``.

    Returns:
        The loss of rows that count, and what a decoder makes, or what another head reads.
    """
    encoded, head = model.read_by(name, inputs.memory), model.heads[name]
    condition = model.condition(name, inputs.vector_BZ)
    if name in model.wiring.adversarial:
        assert how.reversals is not None
        rate_B = jnp.asarray(how.reversals)[inputs.task_B] * reversal_rate(progress)
        reversed_BSD = jax.vmap(reverse_gradient)(encoded.memory_BSD, rate_B)
        encoded = Encoded(reversed_BSD, encoded.mask_BS)
    stream = encoded
    match head, target:
        case Decoder(), Tokens():
            y_BTD = inputs.y_BTD[:, : target.tokens_BT.shape[1]]
            y_BTD = head.stream(encoded, y_BTD, condition, key)
            stream = Encoded(y_BTD, target.tokens_BT != PAD)
            losses = head.loss(y_BTD, target, model.embedding, how.smoothing)
        case CTC(), Tokens():
            losses = head.loss(encoded, target, condition)
        case LabelHead(), Label():
            losses = head.loss(encoded, target, condition)
        case TagHead(), Tags():
            losses = head.loss(encoded, target, condition)
        case FrameHead(), FrameLabels():
            losses = head.loss(encoded, target, condition)
        case NumberHead(), Number():
            losses = head.loss(encoded, target, condition)
        case _:
            raise AssertionError(f"head {name!r} for targets of {type(target).__name__}")
    counts_B = inputs.counts_B
    return losses.of(counts_B), Encoded(stream.memory_BSD, stream.mask_BS & counts_B[:, None])
