"""A run of tasks with every kind of head, from its data to a shared model."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from support.command_line import refused, taskaware
from support.every_target import examples, experiment, get_ready, tasks
from support.story import tell

from taskaware.config.wiring import Inventory
from taskaware.errors import UsageError
from taskaware.pretrained.model import digest, from_pretrained
from taskaware.runs.checkpoints import restore
from taskaware.runs.folder import Run

NAMES = [task.name for task in tasks(())]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("every"))


@pytest.fixture(scope="module")
def told(prepared):
    return tell(prepared)


@pytest.fixture(scope="module")
def scored(told):
    outcome = taskaware("evaluate", told.run)
    assert outcome.code == 0, outcome.err
    return told.run


def lines(run, name):
    return (run / f"test.{name}.txt").read_text().split("\n")[:-1]


def test_a_run_learns_all_tasks_and_repeats_nothing_that_is_done(told):
    assert told.interrupted.code == 130
    for outcome in (told.trained, told.trained_again):
        assert (outcome.code, outcome.err) == (0, "")
    measured = [json.loads(line) for line in (told.run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in measured] == [2, 3, 4]
    for line in measured:
        assert set(line["loss"]) == set(NAMES)
        assert all(np.isfinite(loss) and loss > 0 for loss in line["loss"].values())


def test_a_run_that_was_interrupted_ends_where_one_without_a_pause_does(prepared, told, tmp_path):
    train = ["train", prepared.experiment, "--out", tmp_path / "run", "--log-every", 1]
    assert taskaware(*train).code == 0
    found, expected = (digest(restore(Run.open(run))[0]) for run in (told.run, tmp_path / "run"))
    assert found == expected


def test_a_run_keeps_what_its_heads_answer(told):
    assert Run.open(told.run).inventories == {
        "mood": Inventory(values=("angry", "calm", "sad at heart")),
        "slots": Inventory(values=("B-number", "I-number", "O")),
        "phones": Inventory(values=tuple(sorted({*"zeroonetwothreefourfive"}))),
        "sounds": Inventory(values=("click", "hum")),
        "age": Inventory(mean=20.875, deviation=float(np.std([20 + i / 4 for i in range(8)]))),
        "who": Inventory(values=("ann", "bob")),
    }


def test_every_task_is_evaluated_as_text(scored):
    (row,) = json.loads((scored / "results.json").read_text())
    assert set(row["scores"]) == set(NAMES)
    assert set(row["scores"]["sounds"]) == {"frame_f1", "der"}
    labels = {e.id: e.labels for e in examples(range(10, 14))}
    assert lines(scored, "mood.ref") == [labels[f"u{i}"]["mood"] for i in range(10, 14)]
    assert lines(scored, "age.ref") == ["22.5", "22.75", "23.0", "23.25"]
    known = Run.open(scored).inventories
    for name in ("mood", "meant", "who"):
        column = "who" if name == "who" else "mood"
        assert set(lines(scored, f"{name}.hyp")) <= {*known[column].values}
    for said in lines(scored, "slots.hyp"):
        assert len(said.split()) == 2 and {*said.split()} <= {*known["slots"].values}
    for said in lines(scored, "age.hyp"):
        assert np.isfinite(float(said))
    for name in NAMES:
        assert len(lines(scored, f"{name}.hyp")) == 4


@pytest.fixture(scope="module")
def shared(scored, tmp_path_factory):
    out = tmp_path_factory.mktemp("shared") / "model"
    outcome = taskaware("share", scored, out)
    assert outcome.code == 0, outcome.err
    return out


def test_a_shared_model_answers_as_evaluation_has(scored, shared):
    model = from_pretrained(shared)
    given = [*examples(range(10, 14))]
    inputs = {"speech": [e.audio for e in given], "text": [e.source_text for e in given]}
    main = [task for task in model.tasks if task.role == "main"]
    assert {task.name for task in main} == {*NAMES} - {"who"}
    for task in main:
        said, expected = model(inputs[task.source], task.name), lines(scored, f"{task.name}.hyp")
        if task.target == "number":
            np.testing.assert_allclose([*map(float, said)], [*map(float, expected)], rtol=1e-4)
        else:
            assert said == expected, task.name


def test_a_shared_model_with_inventories_of_another_is_refused(shared, tmp_path):
    model = shutil.copytree(shared, tmp_path / "model")
    config = json.loads((model / "config.json").read_text())

    def forged(**inventories):
        changed = {k: v for k, v in (config["inventories"] | inventories).items() if v is not None}
        (model / "config.json").write_text(json.dumps(config | {"inventories": changed}))
        return from_pretrained(model)

    mood = config["inventories"]["mood"]
    for given, message in (
        (None, "head 'mood': expected an inventory"),
        (mood | {"values": ["a"]}, "scores"),
        (mood | {"deviation": 0.0}, "deviation: expected positive"),
    ):
        with pytest.raises(UsageError, match=message):
            forged(mood=given)
    # Of a head that writes tokens there is none to read.
    assert forged(decoder=mood)(["zero one"], "mt") == from_pretrained(shared)(["zero one"], "mt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "inventories.json"),
        ('{"mood": {"valuse": []}}', "valuse"),
        ("{}", "head 'mood': expected an inventory of what it answers, found none"),
        (None, "head 'mood': expected an inventory of what it answers, found none"),
    ],
)
def test_inventories_that_are_damaged_or_missing_are_one_line(told, tmp_path, content, message):
    run = shutil.copytree(told.run, tmp_path / "run")
    (run / "inventories.json").unlink()
    if content is not None:
        (run / "inventories.json").write_text(content)
    assert message in refused(taskaware("evaluate", run))


def test_inventories_of_a_run_that_has_saved_nothing_are_those_of_its_last_experiment(
    prepared, tmp_path
):
    whole = experiment(prepared.folder)
    few = replace(whole, tasks=whole.tasks[2:3], model=replace(whole.model, heads=()))
    other = replace(few, tasks=whole.tasks[5:6])
    assert {*Run.start(few, tmp_path / "run").inventories} == {"slots"}
    assert {*Run.start(other, tmp_path / "run").inventories} == {"mood"}
    none = replace(few, tasks=whole.tasks[7:8])
    assert Run.start(none, tmp_path / "run").inventories == {}
    assert not (tmp_path / "run" / "inventories.json").exists()


def test_inventories_of_another_model_are_refused(told, tmp_path):
    run = shutil.copytree(told.run, tmp_path / "run")
    stored = json.loads((run / "inventories.json").read_text())
    stored["mood"]["values"].append("tired")
    (run / "inventories.json").write_text(json.dumps(stored))
    assert "expected" in refused(taskaware("evaluate", run))
