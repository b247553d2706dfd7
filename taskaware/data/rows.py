"""Examples joined into a batch, and a batch taken apart by task."""

import itertools
from collections.abc import Collection, Sequence

import numpy as np

from taskaware.data.buckets import Shape
from taskaware.data.tasks import TaskExamples
from taskaware.dims import MEL_CHANNELS, PAD, Batch, Speech


def by_task(batch: Batch) -> tuple[Batch, ...]:
    """Return each task's rows as a batch of their own, in the order of the batch."""
    borders = [*np.flatnonzero(np.diff(batch.task_B, prepend=-1)).tolist(), len(batch.task_B)]
    spoken = 0 if batch.speech is None else len(batch.speech.length_B)
    parts = []
    for start, end in itertools.pairwise(borders):
        speech = source = None
        if batch.speech is not None and start < spoken:
            speech = Speech(*[leaf[start:end] for leaf in batch.speech])
        if batch.source_BS is not None and start >= spoken:
            source = batch.source_BS[start - spoken : end - spoken]
        parts.append(Batch(speech, source, batch.target_BT[start:end], batch.task_B[start:end]))
    return tuple(parts)


def collate(
    chosen: Sequence[tuple[int, TaskExamples, Sequence[int]]],
    shape: Shape,
    own: Collection[int] | None = None,
) -> Batch:
    """Join (task, its examples, which of them) into one batch; speech tasks come first.

    Args:
        chosen: a row an example.
        shape: to which rows are padded.
        own: the rows of speech whose frames are computed, the others' are zero; all by default.
    """
    spoken, source, target, task_of = [], [], [], []
    for task, examples, indices in chosen:
        for index in indices:
            target.append(examples.target[index])
            task_of.append(task)
            if examples.source is None:
                spoken.append((examples, index))
            else:
                source.append(examples.source[index])
    speech = None
    if spoken:
        # Rows that nobody touches take no memory.
        frames_BAC = np.zeros((len(spoken), shape.frames, MEL_CHANNELS), np.float32)
        length = [examples.source_length[index] for examples, index in spoken]
        for row in range(len(spoken)) if own is None else own:
            examples, index = spoken[row]
            frames_BAC[row, : length[row]] = examples.frames(index)
        speech = Speech(frames_BAC, np.array(length, np.int32))
    return Batch(
        speech,
        pad(source, shape.source) if source else None,
        pad(target, shape.target),
        np.array(task_of, np.int32),
    )


def pad(sequences: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Join token sequences into one array; shorter ones end in padding."""
    out = np.full((len(sequences), width), PAD, np.int32)
    for row, tokens in enumerate(sequences):
        out[row, : len(tokens)] = tokens
    return out
