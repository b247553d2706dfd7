"""A run's checkpoints as models, with the task vectors that belong to them."""

import contextlib
from collections.abc import Sequence

import jax
from flax import nnx

from taskaware.data.tasks import TaskExamples
from taskaware.errors import UsageError
from taskaware.files.whole import read_json
from taskaware.models.seq2seq import Seq2Seq
from taskaware.pretrained.model import digest
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.folder import Run
from taskaware.runs.inference import task_vectors
from taskaware.training.state import average
from taskaware.training.strategy import first_state

VECTORS = "task_vectors.json"
"""File in a run folder: the task vectors of its newest model, which decoding uses."""


def best_step(run: Run) -> int:
    """Return the step of least validation loss, averaged over the trained tasks.

    Raises:
        UsageError: no checkpoint has a validation loss.
    """
    with contextlib.closing(run.checkpoints()) as checkpoints:
        step = checkpoints.best()
    if step is None:
        raise UsageError(
            f"{checkpoints.folder}: no checkpoint has a validation loss; set validate_every, and "
            "save_every to a multiple of it"
        )
    return step


def saved_steps(run: Run) -> tuple[int, ...]:
    """Return the steps of the run's checkpoints, the newest last.

    Raises:
        UsageError: there is no checkpoint.
    """
    with contextlib.closing(run.checkpoints()) as checkpoints:
        steps = checkpoints.steps()
    if not steps:
        raise UsageError(f"{checkpoints.folder}: no checkpoint; run taskaware train first")
    return steps


def restore(run: Run, steps: Sequence[int] = ()) -> tuple[Seq2Seq, tuple[int, ...]]:
    """Return a model on this process's first device, and the steps of its checkpoints.

    Args:
        run: a trained run.
        steps: of checkpoints, whose parameters are averaged if several; by default the newest.

    Raises:
        UsageError: there is no such checkpoint, or it is damaged or of another tokenizer.
    """
    steps = tuple(steps) or saved_steps(run)[-1:]
    graphdef, params = nnx.split(run.abstract_model())
    like = jax.eval_shape(lambda params: first_state(run.experiment, params), params)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    where = jax.tree.map(lambda _: device, like)
    with contextlib.closing(run.checkpoints()) as checkpoints:
        read = (checkpoints.restore(step, like, where, about(run)).params for step in steps)
        params = average(read) if len(steps) > 1 else next(read)
    return nnx.merge(graphdef, params), steps


def vectors_of(run: Run, model: Seq2Seq) -> TaskVectors | None:
    """Return the task vectors that decoding uses: those stored with the model, or computed anew."""
    if run.experiment.model.conditioning == "vanilla":
        return None
    stored = TaskVectors.load_stored(run.folder / VECTORS)
    if stored is not None and stored.model == digest(model):
        return stored
    return computed_vectors(run, model, run.examples("train"))


def computed_vectors(run: Run, model: Seq2Seq, training: list[TaskExamples]) -> TaskVectors | None:
    """Compute the task vectors that decoding uses, of each task's training examples."""
    usual = run.experiment.decoding.examples
    counts = [examples.task.vector_examples or usual for examples in training]
    return task_vectors(model, training, counts, run.experiment.seed)


def about(run: Run) -> dict[str, str]:
    """Return the part of a checkpoint's identity that does not depend on the data."""
    return {"tokenizer": run.tokenizer.sha256}


def training_seconds(run: Run) -> float:
    """Return the seconds that the run's training has taken so far, over all its processes."""
    return float(read_json(run.folder / "seconds.json", 0.0))
