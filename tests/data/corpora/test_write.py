"""Corpora written and checked by several processes, and on Apache Beam."""

import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.command_line import refused, taskaware

from taskaware.errors import RunError, UsageError

tfds = pytest.importorskip("tensorflow_datasets")
from taskaware.data.corpora.base import NO_AUDIO, Example, LeftOut, PreparedCorpus, Unreadable  # noqa: E402
from taskaware.data.corpora.summary import check, summarize  # noqa: E402
from taskaware.data.corpora.write import in_processes, prepare, prepare_corpus  # noqa: E402


@dataclass(frozen=True)
class Numbers:
    """Shards of five items each: every seventh is left out, those of ``bad`` cannot be read."""

    shards: int = 4
    bad: tuple[int, ...] = ()

    name = "numbers"

    def splits(self, *, strict: bool):
        return {"train": [functools.partial(items, i, self.bad) for i in range(self.shards)]}


def items(shard, bad):
    for i in range(5 * shard, 5 * shard + 5):
        if i in bad:
            yield Unreadable(f"kind {i % 2}", f"list.tsv:{i}: expected a number, found a word")
        elif i % 7 == 6:
            yield LeftOut("a seventh", f"list.tsv:{i}")
        else:
            audio = np.arange(400 + i, dtype=np.int16)
            yield Example(f"n{i}", audio, "anna", f"number {i}", "", "en", "", "numbers")


def contents(corpus):
    """Names of all files, all rows, what was left out, and all audio.

    Not the bytes of the records' files, which differ each time they are written.
    """
    rows = corpus.rows("train")
    audio = [corpus.audio("train", i).tobytes() for i in range(len(rows))]
    return sorted(os.listdir(corpus.directory)), rows, corpus.left_out("train"), audio


def test_two_processes_write_what_one_writes(tmp_path):
    told = []
    one = prepare_corpus(Numbers(), tmp_path / "one")
    two = prepare_corpus(
        Numbers(), tmp_path / "two", workers=2, on_shard=lambda *at: told.append(at)
    )
    assert [row.id for row in one.rows("train")] == [f"n{i}" for i in range(20) if i % 7 != 6]
    np.testing.assert_array_equal(two.audio("train", 17), np.arange(419))
    assert contents(one) == contents(two)
    assert told == [(5, 0.25), (10, 0.5), (15, 0.75), (20, 1.0)]


def test_what_is_left_out_is_noted_in_order(tmp_path):
    corpus = prepare_corpus(Numbers(), tmp_path / "out", workers=2)
    assert corpus.left_out("train") == [("a seventh", "list.tsv:6"), ("a seventh", "list.tsv:13")]


def test_there_is_a_worker_at_least(tmp_path):
    with pytest.raises(UsageError, match="workers: expected at least one, found -3"):
        prepare_corpus(Numbers(), tmp_path / "out", workers=-3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_bad_is_refused_or_left_out_on_demand(tmp_path, workers):
    corpus = Numbers(bad=(3, 12))
    with pytest.raises(UsageError, match=r"^list\.tsv:3: expected a number, .*--skip-bad") as error:
        prepare_corpus(corpus, tmp_path / "out", workers=workers)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    kept = prepare_corpus(corpus, tmp_path / "out", workers=workers, skip_bad=True)
    assert len(kept.rows("train")) == 20 - 2 - 2
    assert [item.reason for item in kept.left_out("train")] == [
        "kind 1",
        "a seventh",
        "kind 0",
        "a seventh",
    ]


def test_checking_reads_all_and_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = tuple(range(0, 150, 2))
    told = []
    found = check(Numbers(shards=30, bad=bad), workers=2, on_shard=lambda *at: told.append(at))
    assert found.bad == {"kind 0": 75}
    assert found.left_out == {"a seventh": sum(i % 7 == 6 and i % 2 for i in range(150))}
    assert found.good + found.left_out.total() + found.bad.total() == 150
    assert len(found.messages["kind 0"]) == 20  # of the first
    assert found.messages["kind 0"][-1].startswith("list.tsv:38: ")
    assert told[-1] == (150, 1.0)
    assert not list(tmp_path.iterdir())


def test_a_split_in_numbers(tmp_path):
    def rows(*texts):
        for i, (source, target) in enumerate(texts):
            audio = np.zeros(16000 * i, np.int16) if i else NO_AUDIO
            yield Example(str(i), audio, "", source, target, "en", "de", "c")

    splits = {
        "test": [lambda: rows(("good day", "guten Tag"), ("bad day", "ein Tag"))],
        "train": [lambda: rows(("good day", "guten Tag"), ("a", "b"), ("a b", "c"))],
    }
    numbers = dict(summarize(prepare("c", lambda: splits, tmp_path / "out")))
    assert list(numbers) == ["train", "test"]
    assert numbers["train"][:5] == (3, 3 / 3600, 2.0, 4 + 2 + 3, 1.0)
    assert numbers["test"][:5] == (2, 1 / 3600, 1.0, 8, 6 / 8)


def test_any_changed_file_is_found_by_its_digest(tmp_path):
    folder = prepare_corpus(Numbers(), tmp_path / "out").directory
    PreparedCorpus(folder).verify()
    names = [path.name for path in folder.iterdir()]
    assert len([name for name in names if "array_record" in name]) == 4
    for name in names:
        if name.startswith(("numbers-", "index-", "left_out-")):
            intact = (folder / name).read_bytes()
            damaged = bytearray(intact)
            damaged[len(damaged) // 2] ^= 1
            (folder / name).write_bytes(damaged)
            with pytest.raises(UsageError, match=f"expected {name} to have SHA-256") as error:
                PreparedCorpus(folder).verify()
            assert "\n" not in str(error.value)
            (folder / name).write_bytes(intact)
    (folder / "sha256.json").unlink()
    with pytest.raises(UsageError, match="damaged corpus"):
        PreparedCorpus(folder).verify()


def test_the_command_checks_a_prepared_folder(tmp_path):
    folder = prepare_corpus(Numbers(), tmp_path / "out").directory
    outcome = taskaware("check", folder)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith(f"{folder}: ready\n")
    assert "2 a seventh" in outcome.out
    with open(folder / "index-train.jsonl", "ab") as index:
        index.write(b"\n")
    assert "to have SHA-256" in refused(taskaware("check", folder))
    assert "read by its name" in refused(taskaware("check", tmp_path))


def test_a_prepared_folder_may_bear_the_name_of_a_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare_corpus(Numbers(), "toy")
    assert "toy: ready" in taskaware("check", "toy").out


def dies(job):
    os._exit(3)


def test_a_process_that_dies_is_one_line_and_leaves_nothing(tmp_path):
    splits = {"train": [functools.partial(dies, 0), functools.partial(dies, 1)]}
    with pytest.raises(RunError, match="nothing was kept") as error:
        prepare("c", lambda: splits, tmp_path / "out", workers=2)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def sleep(seconds):
    Path(os.environ["MARKS"], str(os.getpid())).touch()
    time.sleep(seconds)


def test_no_process_outlives_one_that_is_killed(tmp_path):
    code = (
        "from test_write import in_processes, sleep\n"
        "if __name__ == '__main__':\n"
        "    list(in_processes(sleep, [60, 60], 2))"
    )
    (tmp_path / "main.py").write_text(code)
    marks = tmp_path / "marks"
    marks.mkdir()
    paths = os.pathsep.join(str(folder) for folder in Path(__file__).parents[:4])
    env = os.environ | {"MARKS": str(marks), "PYTHONPATH": paths}
    parent = subprocess.Popen([sys.executable, tmp_path / "main.py"], env=env)
    try:
        assert within_5_minutes(lambda: len(list(marks.iterdir())) == 2)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        workers = [int(mark.name) for mark in marks.iterdir()]
        assert within_5_minutes(lambda: not any(alive(worker) for worker in workers))
    finally:
        parent.kill()


def within_5_minutes(done):
    until = time.monotonic() + 300
    while not done() and time.monotonic() < until:
        time.sleep(0.05)
    return done()


def alive(process):
    """Whether it runs: neither gone nor a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_processes_return_results_in_order():
    assert list(in_processes(abs, [-3, 2, -1], 2)) == [3, 2, 1]
    assert list(in_processes(abs, [-3], 2)) == [3]


@pytest.mark.filterwarnings("ignore")  # Beam's, and those of the older protobuf that it asks for
def test_beam_writes_what_one_process_writes(tmp_path):
    pytest.importorskip("apache_beam", reason="needs the beam extra")
    one = prepare_corpus(Numbers(), tmp_path / "one")
    beam = prepare_corpus(Numbers(), tmp_path / "beam", beam=["--runner=DirectRunner"])
    assert contents(one) == contents(beam)
    with pytest.raises((UsageError, RunError), match="expected a number"):
        prepare_corpus(Numbers(bad=(3,)), tmp_path / "bad", beam=["--runner=DirectRunner"])
    assert not (tmp_path / "bad").exists()


def test_a_place_where_another_process_writes_is_refused_and_left_alone(tmp_path):
    """What that process has written so far looks like what a killed one left."""
    out = tmp_path / "out"

    def read():
        (partly,) = tmp_path.glob("incomplete.??????_out")
        with pytest.raises(UsageError, match=f"{out}: in use by process {os.getpid()} ") as error:
            prepare_corpus(Numbers(), out)
        assert "\n" not in str(error.value)
        assert partly.is_dir()
        return Numbers().splits(strict=True)

    prepare("numbers", read, out)
    assert os.listdir(tmp_path) == ["out"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / "incomplete.ABC123_out").mkdir()
    (tmp_path / ".out.lock").write_text("process 1 on elsewhere")
    prepare_corpus(Numbers(), tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]
