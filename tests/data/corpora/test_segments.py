"""What is done to recordings that are kept, from the file to the summary."""

import json

import numpy as np
import pytest
from support.command_line import taskaware
from support.corpus_files import RATE, noise, prepared, write

pytest.importorskip("tensorflow_datasets")
from taskaware.data.corpora.base import PreparedCorpus
from taskaware.data.corpora.manifest import Manifest
from taskaware.data.corpora.summary import check, summarize

COLUMNS = "id\taudio\tstart\tduration\tspeaker\tsource_text\ttarget_text\tsource_language\t"
COLUMNS += "target_language\tsplit\n"
CUT = "segment cut at the end of its recording"
CANCEL = "two channels that cancel each other, the stronger one taken"


@pytest.fixture
def corpus(tmp_path):
    """Two seconds of sound, in one channel and in two that cancel each other."""
    sound = noise(2)
    rows = [
        *[("inside", "a.wav", 0, 1.0), ("rounded", "a.wav", 1, 1.04), ("over", "a.wav", 1, 1.9)],
        *[("both", "b.wav", 1, 1.5), ("after", "a.wav", 1.99, 0.5)],
    ]
    table = COLUMNS + "".join(
        f"{id}\t{audio}\t{start}\t{duration}\t\tsay it\t\ten\t\ttrain\n"
        for id, audio, start, duration in rows
    )
    files = {"a.wav": sound, "b.wav": np.stack([sound, -sound], axis=1), "t.tsv": table}
    return Manifest(write(tmp_path / "corpus", files) / "t.tsv")


NOTED = [(CUT, 4), (CUT, 5), (CANCEL, 5)]
"""And the line of the table."""


def test_what_is_done_to_a_recording_is_listed_and_counted(corpus, tmp_path):
    written = prepared(corpus, tmp_path)
    lengths = {row.id: row.num_samples for row in written.rows("train")}
    assert lengths == {"inside": RATE, "rounded": RATE, "over": RATE, "both": RATE}
    expected = [(what, f"{corpus.table}:{line}") for what, line in NOTED]
    assert written.noted("train") == expected
    assert written.left_out("train") == [("audio shorter than one frame", f"{corpus.table}:6")]
    ((split, summary),) = summarize(written)
    assert (split, summary.examples, summary.noted) == ("train", 4, {CUT: 2, CANCEL: 1})
    lines = (written.directory / "noted-train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [[*pair] for pair in expected]
    assert "noted-train.jsonl" in json.loads((written.directory / "sha256.json").read_text())


def test_checking_counts_the_same(corpus):
    findings = check(corpus)
    assert (findings.good, findings.noted) == (4, {CUT: 2, CANCEL: 1})
    assert findings.left_out.total() == 1
    assert not findings.bad


def test_both_commands_tell_it(corpus, tmp_path):
    told = taskaware("check", "manifest", corpus.table)
    assert f"2 of them: {CUT}" in told.out
    told = taskaware("prepare", "manifest", corpus.table, "--out", tmp_path / "out")
    assert f"train: 2 kept all the same: {CUT}" in " ".join(told.out.split())
    assert told.code == 0


def test_a_folder_of_before_it_was_noted_has_no_notes(corpus, tmp_path):
    written = prepared(corpus, tmp_path)
    (written.directory / "noted-train.jsonl").unlink()
    assert PreparedCorpus(written.directory).noted("train") == []
