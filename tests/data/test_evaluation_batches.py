"""Batches of evaluation: their memory is bounded by the limits of training."""

from collections import Counter

import numpy as np
import pytest

from taskaware.config import Batching, Task
from taskaware.data.batches import evaluation_batches
from taskaware.data.buckets import _FRAME_STEP, _TOKEN_STEP
from taskaware.data.tasks import load_tasks

LIMITS = Batching(max_seconds=0.3, max_tokens=16)
"""30 frames and 16 tokens; the corpus has speech of 0.1 to 0.9 s and texts of up to 33 tokens."""


def load(corpus, source, split="train", limits=LIMITS):
    task = Task(
        name="t",
        source=source,
        target="transcript" if source == "speech" else "translation",
        metric="bleu",
        data=(str(corpus.folder),),
    )
    (examples,) = load_tasks([task], split, corpus.tokenizer, limits, keep_long=True)
    return examples


def padded(batch):
    """Rows, and the padded length of the source."""
    if batch.speech is not None:
        return batch.speech.frames_BAC.shape[:2]
    return batch.source_BS.shape


@pytest.mark.parametrize("size", [1, 4, 8, 32])
@pytest.mark.parametrize(
    ("source", "limit", "step"), [("speech", 30, _FRAME_STEP), ("text", 16, _TOKEN_STEP)]
)
def test_rows_times_padded_length_is_bounded_but_for_a_row_alone(corpus, source, limit, step, size):
    examples = load(corpus, source)
    lengths = np.maximum(examples.source_length / limit, examples.target.length / 16)
    assert lengths.min() < 1 and 2 < lengths.max() < 4
    most = -(-limit // step) * step
    shapes, visited = set(), []
    for indices, batch in evaluation_batches(0, examples, size=size):
        rows, length = padded(batch)
        assert rows == 1 or rows * max(length / most, batch.target_BT.shape[1] / 16) <= size
        if lengths[indices].max() > 1:
            # Of each doubling a quarter of the rows: attention of no batch takes more memory.
            assert rows == 1 or rows * lengths[indices].max() ** 2 <= size
            assert lengths[indices].min() > 1
        else:
            assert rows == size
        visited.extend(indices.tolist())
        shapes.add((rows, length, batch.target_BT.shape[1]))
    assert Counter(visited) == Counter(range(len(examples.rows)))
    assert len(shapes) <= 2 + 2  # two buckets, and one for each of two doublings


def test_what_training_takes_comes_in_the_same_batches_whatever_is_longer(corpus):
    examples = load(corpus, "speech")
    short = np.flatnonzero(examples.relative_length <= 1)
    alone = evaluation_batches(0, examples, size=4, only=short.tolist())
    together = evaluation_batches(0, examples, size=4)
    for (few, expected), (some, found) in zip(alone, together, strict=False):
        np.testing.assert_array_equal(few, some)
        np.testing.assert_array_equal(expected.target_BT, found.target_BT)
        np.testing.assert_array_equal(expected.speech.frames_BAC, found.speech.frames_BAC)


def test_lengths_are_told_in_lengths_of_what_training_takes(corpus):
    spoken = load(corpus, "speech", "extreme", Batching(max_seconds=3.0, max_tokens=60))
    long = [row.id for row in spoken.rows].index("long audio")
    assert spoken.relative_length[long] == pytest.approx(248 / 300)  # 2.5 s are 248 frames


def test_a_long_target_counts_as_a_long_source_does(corpus):
    written = load(corpus, "text", "extreme", Batching(max_tokens=30))
    long = [row.id for row in written.rows].index("long target")
    assert written.source.length[long] < 15 and written.target.length[long] == 63
    assert written.relative_length[long] == 63 / 30
    assert [long] in [rows.tolist() for rows, _ in evaluation_batches(0, written, size=4)]


def test_nothing_is_left_out_and_nothing_drawn_where_long_examples_are_kept(corpus):
    data = (str(corpus.folder),)
    task = Task(name="t", source="speech", target="transcript", metric="bleu", data=data)
    drawn = Task(**{**vars(task), "max_examples": 2})
    for of in (task, drawn):
        (kept,) = load_tasks([of], "train", corpus.tokenizer, LIMITS, keep_long=True)
        assert len(kept) == len(kept.rows) and kept.left_out == 0
    (cut,) = load_tasks([task], "train", corpus.tokenizer, LIMITS)
    assert 0 < cut.left_out == int((kept.relative_length > 1).sum())


@pytest.mark.parametrize("size", [3, 4, 32])
@pytest.mark.parametrize("source", ["speech", "text"])
def test_no_example_within_the_limits_is_alone_in_a_batch(corpus, source, size):
    """Validation would give it its own task vector, which has seen the answer."""
    examples = load(corpus, source)
    short = np.flatnonzero(examples.relative_length <= 1).tolist()
    assert len(short) > 6
    for count in range(2, len(short)):
        batches = [*evaluation_batches(0, examples, size=size, only=short[:count])]
        assert min(len(rows) for rows, _ in batches) > 1
