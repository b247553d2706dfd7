"""SpecAugment over the frames of a batch."""

from dataclasses import replace

import numpy as np
import pytest
from support.toy_batches import (
    ALL,
    MASKS,
    ONE,
    SMALL,
    assert_equal,
    fingerprint,
    load,
    take,
    training_batches,
)

from taskaware.config import SpecAugment
from taskaware.dims import Speech


def masked_in(batch, plain):
    """(where a row's frames are put to zero, its length); all else is as it is without masks."""
    for name, rows in plain.items():
        expected = rows.source[0]
        found = batch[name].source[0]
        zero = (found == 0) & (expected != 0)
        np.testing.assert_array_equal(np.where(zero, expected, found), expected)
        same = rows.source._replace(**{rows.source._fields[0]: found})
        assert_equal({name: batch[name]}, {name: rows._replace(source=same)})
        if isinstance(rows.source, Speech):
            yield from zip(zero, rows.source.length_B, strict=True)
        else:
            assert not zero.any()


def test_masks_put_bands_to_zero_in_each_utterance_and_leave_all_else(tasks):
    for batch, plain in zip(take(6, tasks, ALL, masks=MASKS), take(6, tasks, ALL), strict=True):
        for zero, length in masked_in(batch, plain):
            # A frame is masked whole, or in the channels that are masked in all frames.
            frames = zero[:length].all(axis=1)
            channels = zero[:length].all(axis=0)
            np.testing.assert_array_equal(zero[:length], frames[:, None] | channels)
            assert frames.sum() <= length // 2
            assert channels.sum() <= 2 * 27


def test_every_row_of_every_batch_is_masked_in_a_way_of_its_own(tasks):
    """ST and ASR hear the same recordings, epoch after epoch; one row in 28² may stay whole."""
    bands, drawn = replace(MASKS, time_masks=0), set()
    both = zip(take(48, tasks, ALL, masks=bands), take(48, tasks, ALL), strict=True)
    for batch, plain in both:
        drawn |= {zero.any(axis=0).tobytes() for zero, _ in masked_in(batch, plain)}
    assert len(drawn) > 0.95 * 48 * 8


@pytest.mark.parametrize("batching", [ALL, ONE])
def test_a_masked_batch_is_the_same_wherever_reading_began(tasks, batching):
    whole = take(11, tasks, batching, masks=MASKS)
    for first in (1, 4, 8):
        resumed = take(3, tasks, batching, masks=MASKS, first=first)
        for found, expected in zip(resumed, whole[first : first + 3], strict=True):
            assert_equal(found, expected)


def test_another_seed_gives_other_masks(corpus):
    """Of one example in one bucket there is one order, whatever the seed."""
    one = load(corpus, target_language="tr")[1:2]
    first, second = (
        next(training_batches(one, SMALL, seed=seed, masks=MASKS))["st"].source.frames_BAC
        for seed in (3, 4)
    )
    assert not np.array_equal(first, second)


def test_masks_leave_the_frames_that_tasks_share_as_they_are(corpus):
    tasks = load(corpus)
    before = [tasks[1].frames(i).copy() for i in range(len(tasks[1].rows))]
    take(12, tasks, ALL, masks=MASKS)
    for i, frames in enumerate(before):
        np.testing.assert_array_equal(tasks[1].frames(i), frames)


def test_masks_that_are_off_change_neither_batches_nor_fingerprint(corpus, tasks):
    off = SpecAugment(frequency_width=5, time_width=3)
    for found, expected in zip(take(4, tasks, ALL, masks=off), take(4, tasks, ALL), strict=True):
        assert_equal(found, expected)
    settings = (tasks, ALL, 3, corpus.tokenizer.sha256)
    assert fingerprint(*settings, masks=off) == fingerprint(*settings)


def test_masks_touch_no_text(tasks):
    (batch,) = take(1, tasks, ALL, only=(0,), masks=MASKS)
    assert_equal(batch, take(1, tasks, ALL, only=(0,))[0])
