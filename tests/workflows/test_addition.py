"""A task added to a trained run: the others keep what they had, bit for bit."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx
from support.command_line import get_ready, refused, taskaware, tiny

from taskaware.config import FiLMConfig, Task
from taskaware.files.strict_json import to_json
from taskaware.modulation.tcn import ExplicitTCN, TaskTokens
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.checkpoints import restore
from taskaware.runs.folder import Run
from taskaware.runs.trainer import train
from taskaware.training.state import TASK_ROWS

NEW = ("--name", "mt2", "--source", "text", "--target", "translation", "--metric", "bleu")
KINDS = {
    "explicit": ("explicit", FiLMConfig(sharing="per_block_offset")),
    "adapter": ("explicit", FiLMConfig(kind="adapter", sharing="per_block", adapter_width=3)),
    "implicit": ("implicit", FiLMConfig()),
    "vanilla": ("vanilla", FiLMConfig()),
}


def test_a_frozen_model_s_rows_of_tasks_are_known_by_type_and_not_by_name():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.tcn = ExplicitTCN(3, 2, 4, rngs=rngs)
            self.kernel_NZ = nnx.Param(rngs.params.normal((3, 4)))
            self.head = TaskTokens([["a"], ["b"]], 2, rngs=rngs)

    trained = nnx.filter_state(nnx.state(Net(nnx.Rngs(0))), TASK_ROWS)
    assert [path for path, _ in nnx.to_flat_state(trained)] == [("tcn", "kernel_NZ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data, and room for a run of each kind."""
    folder = tmp_path_factory.mktemp("runs")
    get_ready(folder)
    return folder


def known(folder, kind):
    """A trained and scored run, made when it is first asked for."""
    run = folder / kind
    if not run.exists():
        whole, (conditioning, film) = tiny(folder), KINDS[kind]
        model = dataclasses.replace(whole.model, conditioning=conditioning, film=film)
        train(Run.start(dataclasses.replace(whole, model=model), run))
        assert taskaware("evaluate", run).code == 0
    return run


def add(base, out, *options):
    data = Run.open(base).experiment.tasks[0].data
    return taskaware("add-task", base, "--out", out, *NEW, "--data", *data, *options)


def parameters(run):
    """A run's parameters by their paths."""
    state = nnx.state(restore(Run.open(run))[0])
    return {
        path: np.asarray(leaf) for path, leaf in nnx.to_flat_state(jax.tree.map(np.asarray, state))
    }


def texts(run, task):
    return (run / f"test.{task}.hyp.txt").read_bytes()


@pytest.mark.parametrize(
    "kind", ["explicit", pytest.param("adapter", marks=pytest.mark.long), "implicit"]
)
def test_the_other_tasks_keep_their_parameters_vectors_and_outputs_bit_for_bit(
    folder, tmp_path, kind
):
    old, new = known(folder, kind), tmp_path / "new"
    steps = () if kind == "implicit" else ("--steps", "3")
    outcome = add(old, new, "--max-examples", "4", *steps)
    assert outcome.code == 0, outcome.err
    before, after = parameters(old), parameters(new)
    rows = ("tcn", "kernel_NZ")
    assert before.keys() == after.keys()
    for path in before:
        kept = after[path][:3] if path == rows else after[path]
        assert np.array_equal(before[path], kept), path
    if kind != "implicit":
        assert after[rows].shape[0] == 4
        fresh = nnx.state(Run.open(new).fresh_model())["tcn"]["kernel_NZ"][...]
        assert not np.array_equal(after[rows][3], fresh[3])  # it has learned
    theirs, own = (TaskVectors.load(run / "task_vectors.json") for run in (old, new))
    assert theirs.vectors == own.vectors[:3]
    assert len(own.vectors[3].examples) == (4 if kind == "implicit" else 1)
    assert taskaware("evaluate", new).code == 0
    for task in ("st", "asr", "mt"):
        assert texts(old, task) == texts(new, task)
    assert taskaware("forgetting", old, new, "--out", tmp_path / "lost").code == 0
    matrix = json.loads((tmp_path / "lost" / "forgetting.json").read_text())
    assert matrix["models"] == ["before", "mt2"]
    assert matrix["change"] == [[0.0, 0.0, 0.0]] * 2


def test_it_goes_on_where_it_stopped(folder, tmp_path):
    old = known(folder, "explicit")
    outcomes = [add(old, tmp_path / name, "--steps", "2") for name in ("a", "b")]
    assert [outcome.code for outcome in outcomes] == [0, 0]
    longer = dataclasses.replace(Run.open(tmp_path / "a").experiment, steps=4)
    whole = dataclasses.replace(Run.open(tmp_path / "b").experiment, steps=4)
    train(Run.start(longer, tmp_path / "a"))
    train(Run.start(whole, tmp_path / "c"))
    one, other = parameters(tmp_path / "a"), parameters(tmp_path / "c")
    assert all(np.array_equal(one[path], other[path]) for path in one)


def test_replay_tunes_the_whole_model_on_a_few_examples_of_each_old_task(folder, tmp_path):
    old = known(folder, "implicit")
    outcome = add(old, tmp_path / "new", "--replay", "5", "--steps", "2")
    assert outcome.code == 0, outcome.err
    run = Run.open(tmp_path / "new")
    assert [task.max_examples for task in run.experiment.tasks] == [5, 5, 5, None]
    assert [task.vector_examples for task in run.experiment.tasks] == [5, 5, 5, None]
    kept = [len(task) for task in run.examples("train")]
    assert kept[:3] == [5, 5, 5] and kept[3] > 5
    before, after = parameters(old), parameters(tmp_path / "new")
    assert not any(np.array_equal(before[path], after[path]) for path in before if "kernel" in path)


def test_fewer_examples_are_among_more_and_another_seed_draws_others(folder):
    run = Run.open(known(folder, "implicit"))

    def drawn(count, seed=0):
        tasks = tuple(dataclasses.replace(t, max_examples=count) for t in run.experiment.tasks)
        changed = dataclasses.replace(run.experiment, tasks=tasks, seed=seed)
        return [
            set(task.selection.tolist())
            for task in run._replace(experiment=changed).examples("train")
        ]

    everything = [set(task.selection.tolist()) for task in run.examples("train")]
    assert drawn(None) == drawn(10**6) == everything
    for few, more, whole in zip(drawn(2), drawn(4), everything, strict=True):
        assert len(few) == 2 and len(more) == 4
        assert few < more < whole
    assert any(drawn(3, seed) != drawn(3) for seed in range(1, 5))


@pytest.mark.parametrize(
    ("base", "options", "message"),
    [
        ("vanilla", (), "its model (vanilla) has no task vectors"),
        ("implicit", ("--name", "asr"), "it has a task 'asr'; choose another name"),
        ("explicit", ("--steps", "-1"), "Experiment.steps: expected positive, or 0 where"),
        ("explicit", ("--replay", "-1"), "replay: expected 0 or more, found -1"),
        (
            "explicit",
            ("--learning-rate", "-1"),
            "OptimizerConfig.learning_rate: expected positive, found -1",
        ),
        ("nowhere", (), "no experiment.json; expected a folder of taskaware train"),
    ],
)
def test_what_cannot_be_added_is_refused_in_one_line(folder, tmp_path, base, options, message):
    words = [*NEW, "--data", str(folder / "data"), *options]
    if "--name" in options:
        words = words[2:]
    if base in KINDS:
        known(folder, base)
    outcome = taskaware("add-task", folder / base, "--out", tmp_path / "new", *words)
    assert message in refused(outcome)
    assert not (tmp_path / "new").exists()


def test_a_task_may_only_stand_behind_those_that_are_known(folder, tmp_path):
    old = known(folder, "explicit")
    whole = Run.open(old).experiment
    new = Task(
        name="mt2", source="text", target="translation", metric="bleu", data=whole.tasks[0].data
    )
    first = dataclasses.replace(
        whole, tasks=(new, *whole.tasks), start_from=str(old), train_on=("mt2",)
    )
    (tmp_path / "e.json").write_text(to_json(first))
    outcome = taskaware("train", tmp_path / "e.json", "--out", tmp_path / "new")
    assert "keep its tasks, put others behind them" in refused(outcome)


@pytest.mark.parametrize("kind", ["film", pytest.param("adapter", marks=pytest.mark.long)])
def test_a_vanilla_model_becomes_task_aware_and_stays_what_it_was_below(folder, tmp_path, kind):
    old = known(folder, "vanilla")
    vanilla = Run.open(old).experiment
    film = FiLMConfig(kind=kind, init="zero", sharing="per_block", adapter_width=3)
    (tmp_path / "e.json").write_text(
        to_json(
            dataclasses.replace(
                vanilla,
                model=dataclasses.replace(vanilla.model, conditioning="explicit", film=film),
                start_from=str(old),
                frozen=True,
                steps=0,
            )
        )
    )
    for steps in (0, 3):
        run = tmp_path / str(steps)
        train = ["train", tmp_path / "e.json", "--out", run, "--steps", steps]
        assert taskaware(*train).code == 0
        before, after = parameters(old), parameters(run)
        assert {path[0] for path in after.keys() - before.keys()} == {"tcn"}
        assert all(np.array_equal(before[path], after[path]) for path in before)
        assert taskaware("evaluate", run).code == 0
        if not steps:
            for task in ("st", "asr", "mt"):
                assert texts(old, task) == texts(run, task)
    fresh = parameters(tmp_path / "0")[("tcn", "kernel_NZ")]
    assert not np.isclose(after[("tcn", "kernel_NZ")], fresh).all(1).any()  # all tasks have learned
