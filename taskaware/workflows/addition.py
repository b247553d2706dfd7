"""Add a task to a trained model; its outputs for the other tasks stay the same, bit for bit."""

import dataclasses

from taskaware.config import Experiment, Task
from taskaware.config.wiring import head_of
from taskaware.errors import UsageError


def add_task(
    base: Experiment,
    folder: str,
    task: Task,
    *,
    steps: int = 300,
    learning_rate: float | None = None,
    replay: int = 0,
) -> Experiment:
    """Return the experiment that adds a task to a run, to be trained in a folder of its own.

    An implicit model learns nothing: its TCN makes the new task's vector of the task's examples.
    An explicit one learns only the parameters of the new task, γ and β or an adapter; nothing else
    changes. A head that no task of the run has is learned in any model. With ``replay`` the whole
    model is fine-tuned instead, on the new task and on a few examples of each old one.

    Args:
        base: the run's experiment.
        folder: the run's folder.
        task: the new one; it is learned from ``max_examples`` examples, and its vector is the mean
            over as many.
        steps: of training, where there is any.
        learning_rate: factor of the schedule; None for that of the run.
        replay: examples of each old task, drawn at random once; 0 for none.

    Raises:
        UsageError: the run has a task of that name, or its model has no task vectors.
    """
    if task.name in [old.name for old in base.tasks]:
        raise UsageError(f"{folder}: it has a task {task.name!r}; choose another name")
    conditioning, head = base.model.conditioning, head_of(task, base.model).name
    has_head = head not in [head_of(old, base.model).name for old in base.tasks]
    if conditioning not in ("explicit", "implicit") and not has_head:
        raise UsageError(
            f"{folder}: its model ({conditioning}) has no task vectors, so it cannot tell another "
            f"task of head {head!r} from its own; train one with explicit or implicit conditioning"
        )
    learns = replay > 0 or conditioning == "explicit" or has_head
    old = base.tasks
    if replay:
        old = tuple(_learned_from(one, replay) for one in old)
    optimizer = base.optimizer
    if learning_rate is not None:
        optimizer = dataclasses.replace(optimizer, learning_rate=learning_rate)
    return dataclasses.replace(
        base,
        tasks=(*old, _learned_from(task, task.max_examples)),
        start_from=folder,
        strategy="joint",
        train_on=() if replay else (task.name,),
        frozen=learns and not replay,
        steps=steps if learns else 0,
        optimizer=optimizer,
    )


def _learned_from(task: Task, count: int | None) -> Task:
    """Limit a task to ``count`` training examples, which its vector is averaged over, too."""
    vector_examples = task.vector_examples or count
    return dataclasses.replace(task, max_examples=count, vector_examples=vector_examples)
