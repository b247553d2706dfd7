"""A run's checkpoints as models, with the task vectors that belong to them."""

import contextlib
import json
import os
import zipfile
from collections.abc import Sequence

import jax
import numpy as np
from flax import nnx

from taskaware.data.tasks import TaskExamples
from taskaware.errors import UsageError
from taskaware.files.whole import damaged, read_json
from taskaware.models.seq2seq import Seq2Seq
from taskaware.runs.folder import Run
from taskaware.runs.inference import TaskEmbeddings, task_embeddings
from taskaware.training.state import average
from taskaware.training.strategy import first_state


def best_step(run: Run) -> int:
    """Return the step of least validation loss, the mean of trained tasks; none is a UsageError."""
    with contextlib.closing(run.checkpoints()) as checkpoints:
        step = checkpoints.best()
    if step is None:
        raise UsageError(
            f"{checkpoints.folder}: no checkpoint has a validation loss; set validate_every, and "
            "save_every to a multiple of it"
        )
    return step


def saved_steps(run: Run) -> tuple[int, ...]:
    """Return the steps of the run's checkpoints, the newest last; none is a UsageError."""
    with contextlib.closing(run.checkpoints()) as checkpoints:
        steps = checkpoints.steps()
    if not steps:
        raise UsageError(f"{checkpoints.folder}: no checkpoint; run taskaware train first")
    return steps


def restore(run: Run, steps: Sequence[int] = ()) -> tuple[Seq2Seq, tuple[int, ...]]:
    """Return a model on this process's first device, and the steps that it comes from.

    Args:
        run: trained.
        steps: of checkpoints; of several, the parameters are averaged. The newest by default.
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


def embeddings_of(run: Run, model: Seq2Seq, steps: tuple[int, ...]) -> TaskEmbeddings | None:
    """Return the task embeddings stored with the newest model, or compute those of another."""
    if run.experiment.model.conditioning == "vanilla":
        return None
    path = run.folder / "task_embeddings.npz"
    if path.exists():
        try:
            with path.open("rb") as file, np.load(file) as stored:
                if (int(stored["step"]),) == steps:
                    examples = json.loads(str(stored["examples"]))
                    return TaskEmbeddings(stored["vector_NZ"], examples)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(path, error) from None
    return _embeddings(run, model, run.examples("train"))


def _embeddings(run: Run, model: Seq2Seq, examples: list[TaskExamples]) -> TaskEmbeddings | None:
    usual = run.experiment.decoding.examples
    counts = [task.task.max_examples or usual for task in examples]
    return task_embeddings(model, examples, counts, run.experiment.seed)


def store_vectors(run: Run, model: Seq2Seq, examples: list[TaskExamples], step: int) -> None:
    """Store the task vectors that decoding uses, whole or not at all."""
    vectors = _embeddings(run, model, examples)
    if vectors is not None:
        part = run.folder / "task_embeddings.part.npz"
        np.savez(
            part,
            vector_NZ=vectors.vector_NZ,
            tasks=np.array([task.name for task in run.experiment.tasks]),
            examples=json.dumps(vectors.example_ids),
            seed=run.experiment.seed,
            step=step,
        )
        os.replace(part, run.folder / "task_embeddings.npz")


def about(run: Run) -> dict[str, str]:
    """Return what a checkpoint of the run is stored with, whatever its data."""
    return {"tokenizer": run.tokenizer.sha256}


def training_seconds(run: Run) -> float:
    """Return how long the run's training has taken so far, over all its sittings."""
    return float(read_json(run.folder / "seconds.json", 0.0))
