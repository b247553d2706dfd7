"""A digest of all that decides a run's batches."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from taskaware.config import Batching, SpecAugment
from taskaware.data.batches import _NO_MASKS, _ORDER, _sources
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
    masks: SpecAugment = _NO_MASKS,
) -> str:
    """Return a digest of all that decides which examples come in which order, and how masked.

    ``multiple`` counts only where it changes how many rows a task has, ``masks`` where there are
    any.
    """
    digest = hashlib.sha256()
    rows = [source.rows for source in _sources(tasks, batching, seed, stride, multiple, only)[0]]
    sizes = asdict(batching)
    if sizes["edges"] == "equal_mass":  # what runs of before this choice had
        del sizes["edges"]
    if sizes.pop("corpus_alpha") != 1.0:  # else it matters not which folder an example is from
        folders = [np.bincount(examples.folder).tolist() for examples in tasks]
        sizes["corpora"] = [batching.corpus_alpha, folders]
    settings = [_ORDER, sizes, seed, tokenizer_sha256, rows, [asdict(e.task) for e in tasks]]
    for setting in settings[-1]:
        setting.pop("data")  # a moved folder holds the same data
        if not setting["max_examples"]:  # what runs of before this choice had
            del setting["max_examples"]
    if only is not None and len(only) < len(tasks):
        settings.append(list(only))
    if masks.is_on:
        settings.append(asdict(masks))
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for examples in tasks:
        for row in examples.rows:
            digest.update(repr(tuple(row)).encode())
    return digest.hexdigest()
