"""The only training loop: it is handed a step function, batches, evaluators and ears."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from taskaware.dims import Batch
from taskaware.errors import RunError
from taskaware.train.joint import Metrics, Step
from taskaware.train.state import TrainState

Evaluator = Callable[[TrainState], Iterable[tuple[str, float]]]


class Progress(NamedTuple):
    """What the loop tells after some steps, averaged over them."""

    step: int
    total: int
    loss: dict[str, float]  # per target token, by task
    tokens_per_second: float
    audio_seconds_per_second: float
    gradient_norm: float
    rms: float
    participation: float
    seconds: float  # since the loop began, compilation included
    seconds_left: float  # at the speed since the last report


def train(
    state: TrainState,
    step: Step,
    batches: Iterator[Batch],
    *,
    tasks: Sequence[str],
    total: int,
    log_every: int,
    save_every: int,
    report: Callable[[Progress], None],
    save: Callable[[TrainState], None],
    evaluate_every: int = 0,
    evaluators: Sequence[Evaluator] = (),
    report_scores: Callable[[int, dict[str, float]], None] = lambda step, scores: None,
) -> TrainState:
    """Run steps up to number ``total``, and save the last.

    The host waits for the device only when it reports: metrics stay on the device till then.

    Args:
        state: where to go on from.
        step: compiled; may donate the state.
        batches: from the state's step on, already on the devices.
        tasks: names, in the order of the metrics.
        total: the last step's number.
        log_every: steps between reports.
        save_every: steps between checkpoints.
        report: called with the averages of the steps since the last call.
        save: called with the state.
        evaluate_every: steps between evaluations; 0 for none.
        evaluators: called with the state; each yields (name, value).
        report_scores: called with what they yielded.

    Raises:
        RunError: the loss is not finite.
    """
    first = int(state.step)
    began = since = time.monotonic()
    pending: list[Metrics] = []
    for number in range(first + 1, total + 1):
        state, metrics = step(state, next(batches))
        pending.append(metrics)
        if number % log_every == 0 or number == total:
            fetched = jax.device_get(pending)
            now = time.monotonic()
            progress = _summarize(fetched, tasks, number, total, now - since, now - began)
            if not np.isfinite(progress.gradient_norm):
                raise RunError(
                    f"step {number}: the gradient is not finite (loss {progress.loss}); lower "
                    "optimizer.learning_rate or set optimizer.clip_norm, and run again"
                )
            report(progress)
            pending, since = [], now
        if evaluate_every and number % evaluate_every == 0:
            report_scores(number, dict(score for run in evaluators for score in run(state)))
            since = time.monotonic()
        if number % save_every == 0 or number == total:
            save(state)
    return state


def _summarize(
    steps: Sequence[dict[str, Any]],
    tasks: Sequence[str],
    number: int,
    total: int,
    seconds: float,
    elapsed: float,
) -> Progress:
    loss_N = np.sum([metrics["loss_N"] for metrics in steps], axis=0)
    tokens_N = np.sum([metrics["tokens_N"] for metrics in steps], axis=0)
    frames = sum(int(metrics["frames"]) for metrics in steps)
    return Progress(
        step=number,
        total=total,
        loss={
            task: float(loss / tokens)
            for task, loss, tokens in zip(tasks, loss_N, tokens_N, strict=True)
            if tokens
        },
        tokens_per_second=float(tokens_N.sum()) / seconds,
        audio_seconds_per_second=frames / 100 / seconds,
        gradient_norm=float(np.mean([metrics["gradient_norm"] for metrics in steps])),
        rms=float(np.mean([metrics["rms"] for metrics in steps])),
        participation=float(np.mean([metrics["participation"] for metrics in steps])),
        seconds=elapsed,
        seconds_left=seconds / len(steps) * (total - number),
    )
