"""A digest of all that decides a run's batches."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from taskaware.config import Batching, SpecAugment
from taskaware.data.batches import NO_MASKS, ORDER, mixed_sources
from taskaware.data.tasks import TaskExamples


def fingerprint(
    tasks: Sequence[TaskExamples],
    batching: Batching,
    seed: int,
    tokenizer_sha256: str,
    *,
    stride: int,
    multiple: int = 1,
    only: Sequence[int] | None = None,
    masks: SpecAugment = NO_MASKS,
) -> str:
    """Return a digest of all that decides which examples come in which order, and their masks.

    ``multiple`` counts only where it changes how many rows a task has, ``masks`` where there are
    any, and an example's folder only where folders are mixed.
    """
    sources, _ = mixed_sources(tasks, only, batching, multiple, seed, stride)
    mixed = [np.bincount(examples.folder).tolist() for examples in tasks]
    # A moved folder holds the same data, and vectors serve decoding alone.
    not_of_data = {"data": None, "vector_examples": None}
    settings = {
        "order": ORDER,
        "batching": asdict(batching),
        "seed": seed,
        "tokenizer": tokenizer_sha256,
        "rows": [source.rows for source in sources],
        "tasks": [asdict(examples.task) | not_of_data for examples in tasks],
        "trained": [examples.task.name for source in sources for examples in source.tasks],
        "folders": mixed if batching.corpus_alpha != 1.0 else None,
        "masks": asdict(masks) if masks.is_on else None,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for examples in tasks:
        for row in examples.rows:
            digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()
