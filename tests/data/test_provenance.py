"""The digest of all that decides a run's batches."""

import shutil
from dataclasses import replace

from support.toy_batches import (
    ALL,
    MASKS,
    ONE,
    fingerprint,
    load,
)

from taskaware.data.tasks import load_tasks
from taskaware.data.tokenizer import Tokenizer, train_tokenizer


def test_the_fingerprint_is_that_of_the_same_data_wherever_it_lies(corpus, tasks, tmp_path):
    known = fingerprint(tasks, ALL, 3, corpus.tokenizer.sha256)
    assert fingerprint(load(corpus), ALL, 3, corpus.tokenizer.sha256) == known
    shutil.copytree(corpus.folder, tmp_path / "moved")
    moved = load(corpus, folder=tmp_path / "moved")
    assert moved[0].task.data != tasks[0].task.data
    assert fingerprint(moved, ALL, 3, corpus.tokenizer.sha256) == known


def test_the_fingerprint_changes_with_all_that_decides_which_batches_come(corpus, tasks, tmp_path):
    sha256 = corpus.tokenizer.sha256
    changed = load(corpus)
    changed[0].rows[5] = changed[0].rows[5]._replace(target_text="another text")
    longer = load(corpus)
    longer[1].rows[5] = longer[1].rows[5]._replace(num_samples=9999)
    (prefixed,) = load_tasks([replace(tasks[0].task, prefix="say")], "train", corpus.tokenizer)
    train_tokenizer(["say read sag lies"], 20, tmp_path / "other")
    other = Tokenizer.load(tmp_path / "other")
    found = [
        fingerprint(tasks, ALL, 3, sha256),
        fingerprint(tasks, ALL, 4, sha256),
        fingerprint(tasks, replace(ALL, size=5), 3, sha256),
        fingerprint(tasks, replace(ALL, alpha=0.5), 3, sha256),
        fingerprint(tasks, replace(ALL, buckets=2), 3, sha256),
        fingerprint(tasks, ONE, 3, sha256),
        fingerprint(tasks, replace(ALL, edges="least_padding"), 3, sha256),
        fingerprint(tasks, ALL, 3, other.sha256),
        fingerprint(changed, ALL, 3, sha256),
        fingerprint(longer, ALL, 3, sha256),
        fingerprint(tasks[:2], ALL, 3, sha256),
        fingerprint(tasks[::-1], ALL, 3, sha256),
        fingerprint(load(corpus, "test"), ALL, 3, sha256),
        fingerprint(tasks, ALL, 3, sha256, only=(0, 2)),
        fingerprint(tasks, ALL, 3, sha256, only=(0, 1)),
        fingerprint(tasks, ONE, 3, sha256, only=(0,)),
        fingerprint(tasks, ONE, 3, sha256, only=(1,)),
        fingerprint([prefixed, *tasks[1:]], ALL, 3, sha256),
        fingerprint(tasks, ALL, 3, sha256, masks=MASKS),
        fingerprint(tasks, ALL, 3, sha256, masks=replace(MASKS, time_width=3)),
        fingerprint(tasks, ALL, 3, sha256, masks=MASKS, only=(0, 2)),
    ]
    assert len(set(found)) == len(found)
