"""Blank batches of every shape that training will see, to measure or compile a step with."""

from collections.abc import Sequence

import numpy as np

from taskaware.config import Batching
from taskaware.data.batches import mixed_sources
from taskaware.data.targets import Shape, blank_target
from taskaware.data.tasks import TaskExamples
from taskaware.dims import MEL_CHANNELS, Batch, Rows, Speech, Text


def blank_batches(
    tasks: Sequence[TaskExamples],
    batching: Batching,
    *,
    stride: int,
    multiple: int = 1,
    only: Sequence[int] | None = None,
) -> list[Batch]:
    """Return a batch of zeros, which take no memory, per shape that ``training_batches`` yields."""
    return [
        {
            examples.task.name: _blank(examples, count, shape)
            for examples, count in zip(source.tasks, rows, strict=True)
        }
        for source in mixed_sources(tasks, only, batching, multiple, 0, stride)[0]
        for shape, rows in zip(source.shapes, source.rows, strict=True)
    ]


def _blank(examples: TaskExamples, count: int, shape: Shape) -> Rows:
    def zeros(dtype: type, *axes: int) -> np.ndarray:
        return np.broadcast_to(dtype(0), (count, *axes))

    source = Text(zeros(np.int32, shape.source))
    if examples.source is None:
        source = Speech(zeros(np.float32, shape.frames, MEL_CHANNELS), zeros(np.int32))
    target = blank_target(examples.task, count, shape, examples.inventory)
    return Rows(source, target, zeros(np.bool_))
