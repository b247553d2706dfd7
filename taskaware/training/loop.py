"""The only training loop: it takes a step function, batches and a listener."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from taskaware.dims import FRAMES_PER_SECOND, Batch
from taskaware.errors import RunError
from taskaware.training.joint import Metrics, Step
from taskaware.training.state import TrainState


class Progress(NamedTuple):
    """What the loop reports after some steps, averaged over those that were not skipped."""

    step: int
    total: int
    loss: dict[str, float]  # nats per target token, by task
    tokens_per_second: float
    audio_seconds_per_second: float
    gradient_norm: float
    rms: float
    participation: float
    skipped: int  # steps whose loss or gradient was not finite
    seconds: float  # since the loop began, compilation included
    seconds_left: float  # at the speed since the last report


class Schedule(NamedTuple):
    """When the loop does what, in batches."""

    total: int
    """The last batch's number."""
    log_every: int
    save_every: int
    max_skipped: int
    """This many skipped steps in a row end the run."""
    evaluate_every: int = 0
    """0 for never."""


@runtime_checkable
class Listener(Protocol):
    """What the loop tells and asks while it runs."""

    def report(self, progress: Progress) -> None:
        """Take the report of the steps since the last one."""

    def scores(self, state: TrainState) -> dict[str, float]:
        """Evaluate a state."""
        ...

    def save(self, state: TrainState, scores: dict[str, float]) -> None:
        """Save a state, with its scores if it has been evaluated."""

    def stopped(self) -> bool:
        """Return whether the loop is to end; asked after every step and every evaluation."""
        ...


def train(
    state: TrainState,
    step: Step,
    batches: Iterator[Batch],
    listener: Listener,
    schedule: Schedule,
    *,
    tasks: Sequence[str],
) -> TrainState:
    """Run steps up to the schedule's last, or until asked to stop, and save the last.

    The host waits for the device only to report: until then metrics stay on the device. Skipped
    steps are therefore noticed late, which is harmless, since they change nothing.

    Args:
        state: the state to continue from.
        step: the compiled step; may donate the state.
        batches: from the state's step on, already on the devices.
        listener: hears reports, evaluates and saves; scores of an evaluation during which it
            stopped are dropped.
        schedule: in batches.
        tasks: names, in the order of the metrics.

    Returns:
        The state after the last step.

    Raises:
        RunError: too many steps in a row were skipped.
    """
    began = since = time.monotonic()
    total = schedule.total
    pending: list[Metrics] = []
    skipped: list[int] = []  # the latest steps, as long as they were skipped
    for number in range(int(state.step) + 1, total + 1):
        state, metrics = step(state, next(batches))
        pending.append(metrics)
        stopped = listener.stopped()
        if number % schedule.log_every == 0 or number == total or stopped:
            fetched = jax.device_get(pending)
            skipped = _skipped_in_a_row(skipped, fetched, number, schedule.max_skipped)
            now = time.monotonic()
            listener.report(_summarize(fetched, tasks, number, total, now - since, now - began))
            pending, since = [], now
        scores = {}
        if schedule.evaluate_every and number % schedule.evaluate_every == 0 and not stopped:
            scores = listener.scores(state)
            if stopped := listener.stopped():
                scores = {}
            since = time.monotonic()
        if number % schedule.save_every == 0 or number == total or stopped:
            listener.save(state, scores)
        if stopped:
            break
    return state


def _skipped_in_a_row(
    skipped: list[int], steps: Sequence[dict[str, Any]], number: int, most: int
) -> list[int]:
    """Return the numbers of the steps skipped in a row up to now; ``most`` are an error.

    Args:
        skipped: the same before these steps.
        steps: the metrics of these steps.
        number: of the last one.
        most: number of skipped steps in a row that raises RunError.
    """
    for batch, metrics in enumerate(steps, number - len(steps) + 1):
        skipped = [*skipped, batch] if metrics["skipped"] else []
        if len(skipped) >= most:
            raise RunError(
                f"batches {skipped[0]} to {batch}: {most} in a row whose loss or gradient is not "
                "finite; none has changed the model; look for bad values in the data, or lower "
                "optimizer.learning_rate in a new --out"
            )
    return skipped


def _summarize(
    steps: Sequence[dict[str, Any]],
    tasks: Sequence[str],
    number: int,
    total: int,
    seconds: float,
    elapsed: float,
) -> Progress:
    taken = len(steps)
    skipped = sum(bool(metrics["skipped"]) for metrics in steps)
    if skipped < len(steps):  # otherwise the figures stay as they are, not finite
        steps = [metrics for metrics in steps if not metrics["skipped"]]
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
        audio_seconds_per_second=frames / FRAMES_PER_SECOND / seconds,
        gradient_norm=float(np.mean([metrics["gradient_norm"] for metrics in steps])),
        rms=float(np.mean([metrics["rms"] for metrics in steps])),
        participation=float(np.mean([metrics["participation"] for metrics in steps])),
        skipped=skipped,
        seconds=elapsed,
        seconds_left=seconds / taken * (total - number),
    )
