"""A task's examples joined into rows of one shape."""

from collections.abc import Collection, Sequence

import numpy as np

from taskaware.data.targets import Shape, pad
from taskaware.data.tasks import TaskExamples
from taskaware.dims import MEL_CHANNELS, Rows, Speech, Text


def collate(
    examples: TaskExamples,
    indices: Sequence[int],
    shape: Shape,
    computed: Collection[int] | None = None,
) -> Rows:
    """Return some examples of a task as padded rows, one per index.

    Args:
        examples: of the task.
        indices: which of them.
        shape: to which rows are padded.
        computed: the rows whose speech frames are computed; others' are zero; all if None.
    """
    target = examples.target.rows(indices, shape)
    counts_B = np.ones(len(indices), bool)
    if examples.source is not None:
        tokens_BS = pad([examples.source[index] for index in indices], shape.source)
        return Rows(Text(tokens_BS), target, counts_B)
    # The system gives memory only to those rows that are written to.
    frames_BAC = np.zeros((len(indices), shape.frames, MEL_CHANNELS), np.float32)
    length_B = np.array([examples.source_length[index] for index in indices], np.int32)
    for row in range(len(indices)) if computed is None else computed:
        frames_BAC[row, : length_B[row]] = examples.frames(indices[row])
    return Rows(Speech(frames_BAC, length_B), target, counts_B)
