"""Batches of evaluation: their memory is bounded by the limits of training."""

from collections import Counter

import jax
import numpy as np
import pytest
from support.toy_batches import load as load_all
from support.toy_batches import shape_of

from taskaware.config import Batching, Task
from taskaware.data.buckets import _FRAME_STEP, _TOKEN_STEP
from taskaware.data.passes import evaluation_batches
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
    return batch.source[0].shape[:2]


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
    for indices, batch in evaluation_batches(examples, size=size):
        rows, length = padded(batch)
        assert rows == 1 or rows * max(length / most, batch.target.tokens_BT.shape[1] / 16) <= size
        if lengths[indices].max() > 1:
            # Of each doubling a quarter of the rows: attention of no batch takes more memory.
            assert rows == 1 or rows * lengths[indices].max() ** 2 <= size
            assert lengths[indices].min() > 1
        else:
            assert rows == size
        visited.extend(indices.tolist())
        shapes.add((rows, length, batch.target.tokens_BT.shape[1]))
    assert Counter(visited) == Counter(range(len(examples.rows)))
    assert len(shapes) <= 2 + 2  # two buckets, and one for each of two doublings


def test_what_training_takes_comes_in_the_same_batches_whatever_is_longer(corpus):
    examples = load(corpus, "speech")
    short = np.flatnonzero(examples.relative_length <= 1)
    alone = evaluation_batches(examples, size=4, only=short.tolist())
    together = evaluation_batches(examples, size=4)
    for (few, expected), (some, found) in zip(alone, together, strict=False):
        np.testing.assert_array_equal(few, some)
        jax.tree.map(np.testing.assert_array_equal, expected, found)


def test_lengths_are_told_in_lengths_of_what_training_takes(corpus):
    spoken = load(corpus, "speech", "extreme", Batching(max_seconds=3.0, max_tokens=60))
    long = [row.id for row in spoken.rows].index("long audio")
    assert spoken.relative_length[long] == pytest.approx(248 / 300)  # 2.5 s are 248 frames


def test_a_long_target_counts_as_a_long_source_does(corpus):
    written = load(corpus, "text", "extreme", Batching(max_tokens=30))
    long = [row.id for row in written.rows].index("long target")
    assert written.source.length[long] < 15 and written.target.length[long] == 63
    assert written.relative_length[long] == 63 / 30
    assert [long] in [rows.tolist() for rows, _ in evaluation_batches(written, size=4)]


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
        batches = [*evaluation_batches(examples, size=size, only=short[:count])]
        assert min(len(rows) for rows, _ in batches) > 1


@pytest.mark.parametrize("source", ["speech", "text"])
def test_an_example_that_is_alone_can_have_the_shortest_other_one_as_its_donor(corpus, source):
    """Validation gives it the task vector of that one, which does not count."""
    examples = load(corpus, source)
    given = {"size": 4, "only": [int(examples.relative_length.argmax())]}
    ((long,), alone), ((also,), pair) = (
        next(evaluation_batches(examples, **given, with_donor=donor)) for donor in (False, True)
    )
    assert long == also and len(alone.counts_B) == 1
    length = examples.source_length + examples.target.length
    donor = min((i for i in range(len(length)) if i != long), key=lambda i: (length[i], i))
    assert pair.counts_B.tolist() == [True, False]
    for row, index in enumerate((int(long), donor)):
        target = pair.target.tokens_BT[row]
        expected = examples.target[index]
        np.testing.assert_array_equal(target[: len(expected)], expected)
        assert not target[len(expected) :].any()
    batches = [*evaluation_batches(examples, size=4, with_donor=True)]
    assert all(len(rows.counts_B) > 1 for _, rows in batches)
    judged = [i for indices, _ in batches for i in indices]
    assert sorted(judged) == list(range(len(examples.rows)))
    assert sum(rows.counts_B.sum() for _, rows in batches) == len(examples.rows)


def test_the_only_example_of_a_task_has_no_company(corpus):
    (tr,) = load_tasks([load_all(corpus, target_language="tr")[1].task], "train", corpus.tokenizer)
    assert len(tr.rows) == 1
    ((_, rows),) = evaluation_batches(tr, size=4, with_donor=True)
    assert rows.counts_B.tolist() == [True, False, False, False]
    assert not rows.target.tokens_BT[1:].any()


@pytest.mark.parametrize("task", [0, 1])
@pytest.mark.parametrize(("size", "buckets"), [(4, 2), (3, 1), (100, 2), (1, 3)])
def test_evaluation_visits_every_example_once(tasks, task, size, buckets):
    examples = tasks[task]
    visited, shapes = [], set()
    for indices, rows in evaluation_batches(examples, size=size, buckets=buckets):
        count = len(indices)
        assert rows.counts_B.tolist() == [True] * count + [False] * (size - count)
        chosen = [*indices.tolist(), *[int(indices[-1])] * (size - count)]
        for row, index in enumerate(chosen):
            source = examples.source[index] if task == 0 else examples.frames(index)
            np.testing.assert_array_equal(rows.source[0][row, : len(source)], source)
            target = examples.target[index] if row < count else []  # none of those that fill up
            np.testing.assert_array_equal(rows.target.tokens_BT[row, : len(target)], target)
            assert not rows.target.tokens_BT[row, len(target) :].any()
        visited.extend(indices)
        shapes.add(shape_of({"t": rows}))
    assert sorted(visited) == list(range(len(examples.rows)))
    assert len(shapes) <= buckets


def test_evaluation_visits_what_training_leaves_out(corpus):
    task = load_all(corpus)[1].task
    limits = Batching(max_seconds=2.0, max_tokens=50)
    (st,) = load_tasks([task], "extreme", corpus.tokenizer, limits)
    assert len(st) < len(st.rows)
    visited = [i for indices, _ in evaluation_batches(st, size=4) for i in indices]
    assert sorted(visited) == list(range(len(st.rows)))


def test_evaluation_may_be_of_some_examples_alone(tasks):
    only = [9, 2, 40]
    visited = [i for rows, _ in evaluation_batches(tasks[0], size=2, only=only) for i in rows]
    assert sorted(visited) == sorted(only)
