"""Logging, saving and validation of a run while it is trained."""

import functools
import time
from collections.abc import Callable, Iterator, Sequence

import jax
from flax import nnx

from taskaware.data.passes import evaluation_batches
from taskaware.data.tasks import TaskExamples
from taskaware.devices.processes import is_first
from taskaware.files.whole import write_json
from taskaware.models.seq2seq import Seq2Seq
from taskaware.runs.checkpoints import training_seconds
from taskaware.runs.console import say
from taskaware.runs.folder import Run
from taskaware.runs.log import RunLog
from taskaware.training.checkpoint import Checkpoints
from taskaware.training.joint import joint_loss
from taskaware.training.loop import Progress
from taskaware.training.objective import Objective, objective_of
from taskaware.training.state import TrainState

_ROWS = 32
"""Examples whose validation loss is computed together."""


class RunListener:
    """Logs, saves and validates a run while it is trained; use as a context.

    Args:
        run: the one that is trained.
        checkpoints: the run's, open.
        identity: stored with every checkpoint, and compared when one is restored.
        model: the run's; its parameters are not used.
        stop: returns whether training is to end.
        first: number of the batch that training goes on from.
        total: number of the last batch.
    """

    def __init__(
        self,
        run: Run,
        checkpoints: Checkpoints,
        identity: dict[str, str],
        model: Seq2Seq,
        stop: Callable[[], bool],
        first: int,
        total: int,
    ):
        self._run, self._checkpoints, self._identity = run, checkpoints, identity
        self._graphdef = nnx.graphdef(model)
        self._how = objective_of(run.experiment, 0)
        self._trained = [run.experiment.tasks[index].name for index in run.experiment.trained]
        self._examples = (
            run.examples("validation", absent=say) if run.experiment.validate_every else []
        )
        self._log = RunLog(run.folder, run.folder.name, first, total) if is_first() else None
        self._began = time.monotonic()
        self._seconds_before = training_seconds(run) if first else 0.0
        self.stopped = stop

    def __enter__(self) -> "RunListener":
        """Open the log."""
        if self._log is not None:
            self._log.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.__exit__(*exc)

    def report(self, progress: Progress) -> None:
        """Log the averages of some steps."""
        if self._log is not None:
            self._log.progress(progress)

    def scores(self, state: TrainState) -> dict[str, float]:
        """Measure and log the validation losses; return none if training is stopped meanwhile."""
        settings = (self._examples, self._graphdef, self._how, state)
        losses = dict(validation_losses(*settings, self.stopped))
        if self.stopped():
            return {}
        if self._log is not None:
            self._log.scores(int(state.step), losses)
        return losses

    def save(self, state: TrainState, scores: dict[str, float]) -> None:
        """Save a checkpoint, with the mean loss of the trained tasks where it was measured."""
        names = [f"validation_loss/{name}" for name in self._trained]
        losses = [scores[name] for name in names if name in scores]
        loss = sum(losses) / len(losses) if losses else None
        self._checkpoints.save(state, self._identity, loss)
        if is_first():
            seconds = self._seconds_before + time.monotonic() - self._began
            write_json(self._run.folder / "seconds.json", seconds)


def validation_losses(
    examples: Sequence[TaskExamples],
    graphdef: nnx.GraphDef[Seq2Seq],
    how: Objective,
    state: TrainState,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[str, float]]:
    """Yield each task's loss per token, without dropout; and end early when stopped.

    Args:
        examples: of every task, in order.
        graphdef: of the model.
        how: label smoothing, and the weights of tasks.
        state: its parameters are measured.
        stopped: asked before each batch.
    """
    for index, task in enumerate(examples):
        total = tokens = 0.0
        for _, rows in evaluation_batches(task, size=_ROWS, with_donor=True):
            if stopped():
                return
            metrics = _measure(graphdef, how, state.params, {task.task.name: rows})
            metrics = jax.device_get(metrics)
            total += metrics["loss_N"][index]
            tokens += metrics["tokens_N"][index]
        yield f"validation_loss/{task.task.name}", float(total / tokens)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _measure(graphdef, how, params, batch):
    model, key = nnx.merge(graphdef, params), jax.random.key(0)
    return joint_loss(model, batch, key, None, how)[1]
