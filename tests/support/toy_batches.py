"""Batches of a small corpus of three tasks, and what stands in them."""

import functools
import itertools
from dataclasses import replace

import jax
import numpy as np

from taskaware.config import Batching, SpecAugment, Task
from taskaware.data import batches, provenance
from taskaware.data.blanks import blank_batches
from taskaware.data.targets import Shape
from taskaware.data.tasks import load_tasks
from taskaware.dims import Speech

training_batches = functools.partial(batches.training_batches, stride=8)
fingerprint = functools.partial(provenance.fingerprint, stride=8)

NAMES = ("mt", "st", "asr")
"""Text first, so that the order of tasks is neither the alphabet's nor that of joined rows."""
ALL = Batching(size=4, buckets=3)
SMALL = Batching(size=1, buckets=3)
ONE = Batching(size=4, buckets=3, mixing="one_task")
LEAST = Batching(size=2, buckets=6, edges="least_padding")
IN_TOKENS = Batching(size=160, unit="tokens", buckets=3)


def load(corpus, split="train", folder=None, tokenizer=None, **changes):
    data = (str(folder or corpus.folder),)
    mt = Task(name="mt", source="text", target="translation", metric="bleu", data=data)
    st = replace(mt, name="st", source="speech")
    asr = replace(st, name="asr", target="transcript", metric="wer")
    changed = [replace(task, **changes) for task in (mt, st, asr)]
    return load_tasks(changed, split, tokenizer or corpus.tokenizer)


def take(count, tasks, batching, **options):
    return list(itertools.islice(training_batches(tasks, batching, seed=3, **options), count))


def shapes_of(tasks, batching):
    """Of all batches that training may see."""
    return [*map(shape_of, blank_batches(tasks, batching, stride=8))]


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, rows in expected.items():
        assert jax.tree.structure(found[name]) == jax.tree.structure(rows)
        jax.tree.map(np.testing.assert_array_equal, found[name], rows)


def rows_of(batch):
    """How many each task has."""
    return {name: len(rows.counts_B) for name, rows in batch.items()}


def shape_of(batch):
    """The padded lengths, which all tasks of a batch share."""
    frames, source, target = set(), set(), set()
    for rows in batch.values():
        (frames if isinstance(rows.source, Speech) else source).add(rows.source[0].shape[1])
        target.add(rows.target.tokens_BT.shape[1])
    return Shape(*(sorted(lengths)[0] if lengths else 0 for lengths in (frames, source, target)))


@functools.cache
def index_of(examples):
    """Where each target stands; no two are alike."""
    known = {tuple(examples.target[i].tolist()): i for i in range(len(examples.rows))}
    assert len(known) == len(examples.rows)
    return known


def examples_in(batch, tasks):
    """The (task, example) of each row, recognized by its target."""
    return [
        (number, index_of(examples)[tuple(target[: target.index(1) + 1])])
        for number, examples in enumerate(tasks)
        if examples.task.name in batch
        for target in batch[examples.task.name].target.tokens_BT.tolist()
    ]


MASKS = SpecAugment(frequency_masks=2, time_masks=1, time_share=0.5)
