"""The scripts that make the paper's tables: what they run, and what they write."""

import dataclasses
import importlib
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskaware.config import Decoding, Experiment, SpecAugment, Task
from taskaware.evaluation.metrics.base import Measured
from taskaware.evaluation.results import Result
from taskaware.files.strict_json import to_json

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


@pytest.fixture
def scripts(monkeypatch):
    """Both scripts as modules: reproduce, tables."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield tuple(importlib.import_module(name) for name in ("reproduce", "tables"))
    for name in ("reproduce", "tables"):
        sys.modules.pop(name, None)


def test_every_row_has_its_file_and_every_file_its_row(scripts):
    reproduce, _ = scripts
    for table, rows in reproduce.TABLES.items():
        found = {path.stem for path in (EXPERIMENTS / table).glob("*.py")}
        assert found - {"base", "librispeech"} == set(rows)
    assert all(Path(EXPERIMENTS, f"{row}.py").exists() for row in reproduce.SEEDS)


def test_what_stands_in_files_is_what_the_results_say(scripts):
    _, tables = scripts
    for path, text in tables.files().items():
        assert path.read_text(encoding="utf-8") == text, "run experiments/tables.py"


def test_tasks_that_were_added_to_a_frozen_model_cost_the_others_nothing():
    found = [*(EXPERIMENTS / "results" / "add_task").glob("*.forgetting.json")]
    frozen = [path for path in found if not path.name.startswith("replay")]
    assert len(frozen) == 14 and len(found) == 16
    for path in found:
        changes = json.loads(path.read_text())["change"]
        assert any(map(any, changes)) == (path not in frozen), path


def test_stored_results_are_of_the_experiments_that_stand_there(scripts):
    reproduce, _ = scripts
    from taskaware.config.file import definitions

    checked = 0
    for table, rows in reproduce.TABLES.items():
        for row in rows:
            for path in sorted(reproduce.RESULTS.glob(f"{table}/{row}.[0-9].json")):
                found = definitions(EXPERIMENTS / table / f"{row}.py")
                runs = reproduce.experiments(found)
                seed = int(path.name.split(".")[-2])
                now = {name: dataclasses.replace(run, seed=seed) for name, run in runs.items()}
                stored = reproduce.stored_experiments(path)
                assert stored == now, f"{path.name} is of another experiment"
                checked += 1
    assert checked


def test_a_result_stored_before_a_field_came_is_of_an_experiment_with_its_default(
    scripts, tmp_path
):
    reproduce, _ = scripts
    task = Task(name="mt", source="text", target="translation", metric="bleu")
    run = Experiment(tasks=(task,), tokenizer="t")
    known = json.loads(to_json(run))
    del known["spec_augment"]
    (tmp_path / "row.0.json").write_text(json.dumps({"experiments": {"": known}}))
    stored = reproduce.stored_experiments(tmp_path / "row.0.json")
    assert stored == {"": run}
    masked = dataclasses.replace(run, spec_augment=SpecAugment(time_masks=1))
    assert stored != {"": masked}


def test_only_the_data_that_a_row_needs_is_made_and_in_order(scripts, monkeypatch, tmp_path):
    reproduce, _ = scripts
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    commands = {
        "raw": "python make.py {corpora}/x {out}",
        "text": "taskaware prepare a --out {out}",
        "there": "taskaware prepare b --out {out}",
        "model": "taskaware vocab --data text --out {out}",
        "real": "taskaware prepare c raw --out {out}",
    }

    def run(folder):
        task = Task(
            name="mt", source="text", target="translation", metric="bleu", data=(folder, "there")
        )
        return Experiment(tasks=(task,), tokenizer="model")

    said = []
    monkeypatch.setattr(reproduce, "run_command", lambda *words: said.append(" ".join(words)))
    assert reproduce.prepare(commands, [run("text")], None)
    assert said == ["taskaware prepare a --out text", "taskaware vocab --data text --out model"]
    said.clear()
    assert not reproduce.prepare(commands, [run("real")], None)
    assert said == []
    assert reproduce.prepare(commands, [run("real")], Path("/c"))
    assert said == [
        "python make.py /c/x raw",
        "taskaware prepare a --out text",
        "taskaware vocab --data text --out model",
        "taskaware prepare c raw --out real",
    ]


def result(st, seconds, confusion=0.0, name=""):
    run = row({"st": {"bleu": st}}, confusion={"st": confusion}, seconds=seconds)
    return stored({name: run})


def row(scores, confusion, seconds=0.0):
    """A run's row, of values by task and metric."""
    measured = {
        task: {name: Measured(value=value, signature=None) for name, value in values.items()}
        for task, values in scores.items()
    }
    about = {"conditioning": "implicit", "strategy": "joint", "split": "test", "seed": 0}
    sizes = {"train_steps": 4, "parameters": 7, "tcn_parameters": 0, "seconds": seconds}
    return Result(
        selection="newest",
        checkpoints=dict.fromkeys(scores, (4,)),
        scores=measured,
        confusion=confusion,
        other_language_words=dict.fromkeys(scores),
        decoding=Decoding(),
        **about,
        **sizes,
    )


def stored(runs):
    """What a row's file holds."""
    return {"results": runs, "machine": "2 CPU cores", "date": "2026-01-02"}


def test_several_seeds_are_a_mean_and_a_standard_deviation(scripts):
    _, tables = scripts
    found = [result(90.0, 100.0, 1.0), result(92.0, 200.0, 0.0), result(97.0, 150.0, 2.0)]
    assert tables.scores(found) == {"ST BLEU": "93.0 ± 3.6", "confusion %": "1.0 ± 1.0"}
    assert tables.seconds(found) == 150
    said = " ".join(tables.obtained(found).split())
    assert "of 3 seeds, 150 s each on 2 CPU cores, 2026-01-02." in said
    assert all(len(line) <= 100 for line in tables.obtained(found).splitlines())


def test_a_row_of_several_runs_asks_each_for_its_own_task(scripts):
    _, tables = scripts
    values = {"st": (80.0, 1.0), "mt": (2.0, 90.0)}
    runs = {
        name: row(
            {"st": {"bleu": st}, "mt": {"bleu": mt}}, {name: 4.0, "other": 99.0}, seconds=10.0
        )
        for name, (st, mt) in values.items()
    }
    found = [stored(runs)]
    expected = {"ST BLEU": "80.0", "MT BLEU": "90.0", "confusion %": "4.0"}
    assert tables.scores(found) == expected
    assert tables.seconds(found) == 20


def test_a_table_has_each_task_by_its_metric_and_a_dash_where_there_is_no_score(scripts):
    _, tables = scripts
    scores = {
        "st_zh": {"bleu": 20.0},
        "asr": {"cer": 12.34, "wer": 40.0},
        "mt_bleu": {"bleu": None},
    }
    found = [stored({"": row(scores, dict.fromkeys(scores))})]
    assert tables.scores(found) == {
        "ST ZH BLEU": "20.0",
        "ASR CER": "12.3",
        "ASR WER": "40.0",
        "MT BLEU BLEU": "–",
    }


def test_a_task_of_any_name_has_its_confusion_and_not_the_mean(scripts):
    _, tables = scripts
    run = row({"mean": {"bleu": 1.0}, "st": {"bleu": 2.0}}, {"mean": 10.0, "st": 30.0})
    assert tables.scores([stored({"": run})])["confusion %"] == "20.0"


def test_rows_run_side_by_side_each_on_cores_of_its_own(scripts):
    reproduce, _ = scripts
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores, and a system that can keep a thread to one")
    before = os.sched_getaffinity(0)
    both = threading.Barrier(2)

    def cores():
        both.wait(60)
        return os.sched_getaffinity(0)

    with reproduce.on_cores(2) as pool:
        one, other = (run.result() for run in [pool.submit(cores), pool.submit(cores)])
    assert one | other == before
    assert one.isdisjoint(other)
    assert os.sched_getaffinity(0) == before


def test_a_run_that_rows_share_is_trained_by_the_first_while_others_go_on(scripts, monkeypatch):
    reproduce, _ = scripts
    turns = []
    monkeypatch.setattr(sys, "argv", ["reproduce.py", "table3"])
    monkeypatch.setattr(reproduce, "on_cores", lambda jobs: ThreadPoolExecutor(1))
    monkeypatch.setattr(
        reproduce, "reproduce", lambda row, seed, corpora: turns.append((row, seed))
    )
    reproduce.main()
    assert len(turns) == 15 + 2 * 4
    first = [row.partition("/")[2] for row, seed in turns[:15]]
    assert {seed for _, seed in turns[:15]} == {0}
    assert set(first[:12]).isdisjoint({"joint_taskwise", "joint_average", "maml_taskwise"})
    assert first.index("joint_implicit") < first.index("joint_taskwise")
