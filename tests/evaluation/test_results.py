"""What is made of trained runs: which checkpoint is scored, what is forgotten, what is drawn."""

import dataclasses
import json

import jax
import numpy as np
import optax
import pytest
from flax import nnx
from support.command_line import get_ready, refused, taskaware, tiny

from taskaware.config import FiLMConfig, Task
from taskaware.data.corpora.base import Row
from taskaware.data.rows import collate
from taskaware.data.targets import Shape
from taskaware.data.tasks import TaskExamples
from taskaware.evaluation.metrics.base import Measured
from taskaware.evaluation.metrics.texts import bleu, wer
from taskaware.evaluation.scoring import other_references
from taskaware.evaluation.selection import choose, regrets
from taskaware.files.strict_json import to_json
from taskaware.runs.checkpoints import restore, saved_steps
from taskaware.runs.folder import Run
from taskaware.runs.listener import validation_losses
from taskaware.runs.trainer import train
from taskaware.training.objective import Objective
from taskaware.training.state import initial_state


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A vanilla run of four steps, all kept, and one that goes on from it with ASR alone."""
    folder = tmp_path_factory.mktemp("runs")
    get_ready(folder)
    whole = tiny(folder)
    vanilla = dataclasses.replace(
        whole,
        model=dataclasses.replace(whole.model, conditioning="vanilla"),
        save_every=1,
        keep=3,
    )
    train(Run.start(vanilla, folder / "base"))
    tuned = dataclasses.replace(vanilla, start_from=str(folder / "base"), train_on=("asr",))
    train(Run.start(tuned, folder / "tuned"))
    return folder


def params(run, steps=()):
    return nnx.state(restore(Run.open(run), steps)[0])


def equal(a, b):
    return all(map(np.array_equal, *map(jax.tree.leaves, (a, b))))


def test_averaged_parameters_are_the_mean_of_the_checkpoints(runs):
    assert saved_steps(Run.open(runs / "base")) == (2, 3, 4)
    found = params(runs / "base", (2, 3, 4))
    each = [params(runs / "base", (step,)) for step in (2, 3, 4)]
    assert not equal(each[0], each[2])
    for mean, *leaves in zip(*map(jax.tree.leaves, (found, *each)), strict=True):
        expected = np.mean([np.asarray(leaf, np.float64) for leaf in leaves], axis=0)
        np.testing.assert_allclose(mean, expected, rtol=1e-6, atol=1e-7)
        assert mean.dtype == leaves[0].dtype


def test_the_newest_checkpoint_is_restored_by_default(runs):
    assert restore(Run.open(runs / "base"))[1] == (4,)
    assert equal(params(runs / "base"), params(runs / "base", (4,)))


def scored(speech="wer", **values):
    """Scores as they are stored: BLEU of translations, errors of transcripts."""
    return {
        task: {
            speech if task == "asr" else "bleu": Measured(value=value, signature="s", left_out=0)
        }
        for task, value in values.items()
    }


def test_regret_is_how_far_a_checkpoint_is_from_each_task_s_best(runs):
    run = Run.open(runs / "base")
    scores = {
        2: scored(st=10.0, asr=50.0, mt=30.0),
        3: scored(st=14.0, asr=40.0, mt=20.0),
        4: scored(st=12.0, asr=45.0, mt=31.0),
    }
    assert regrets(run, scores) == {2: [4, 10, 1], 3: [0, 0, 11], 4: [2, 5, 0]}


def test_less_is_better_of_errors_and_a_task_without_a_score_has_no_regret(runs):
    run = Run.open(runs / "base")
    st, asr, mt = run.experiment.tasks
    tasks = (st, dataclasses.replace(asr, metric="cer"), mt)
    run = run._replace(experiment=dataclasses.replace(run.experiment, tasks=tasks))
    scores = {
        2: scored("cer", st=None, asr=50.0, mt=30.0),
        3: scored("cer", st=None, asr=40.0, mt=20.0),
    }
    assert regrets(run, scores) == {2: [0, 10, 0], 3: [0, 0, 10]}


SCORES = {
    "2": scored(st=10.0, asr=50.0, mt=30.0),
    "3": scored(st=14.0, asr=40.0, mt=20.0),
    "4": scored(st=12.0, asr=45.0, mt=31.0),
}


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("newest", [(4,)] * 3),
        ("average", [(2, 3, 4)] * 3),
        ("single", [(4,)] * 3),  # 7 points behind in all; 3 is 11, 2 is 15
        ("taskwise", [(3,), (3,), (4,)]),
    ],
)
def test_each_selection_takes_its_checkpoints(runs, selection, expected):
    run = Run.open(runs / "base")
    path = run.folder / "validation_scores.json"
    path.write_text(to_json(SCORES))
    assert choose(run, selection) == expected
    path.unlink()


def test_validation_scores_are_those_of_the_decoded_validation_split(runs):
    outcome = taskaware("evaluate", runs / "base", "--select", "taskwise")
    assert (outcome.code, outcome.err) == (0, "")
    stored = json.loads((runs / "base" / "validation_scores.json").read_text())
    assert list(stored) == ["2", "3", "4"]
    taskaware("evaluate", runs / "base", "--split", "validation")
    for task, metric in (("st", bleu), ("asr", wer), ("mt", bleu)):
        hypotheses, references = (
            (runs / "base" / f"validation.{task}.{kind}.txt").read_text().splitlines()
            for kind in ("hyp", "ref")
        )
        score = metric(hypotheses, references)
        assert stored["4"][task] == {
            metric.__name__: {
                "value": pytest.approx(score.value),
                "signature": score.signature,
                "left_out": 0,
            }
        }


@nnx.jit
def log_p_of(model, batch):
    return jax.nn.log_softmax(model(model.embed(batch), None).logits_BTV)


def test_the_validation_loss_is_the_mean_of_each_token_s(runs):
    run = Run.open(runs / "base")
    model, smoothing = restore(run)[0], run.experiment.optimizer.label_smoothing
    given = initial_state(nnx.state(model), optax.identity(), 0)
    examples = run.examples("validation")
    losses = dict(validation_losses(examples, nnx.graphdef(model), Objective(smoothing), given))
    assert list(losses) == [f"validation_loss/{task}" for task in ("st", "asr", "mt")]
    for task in examples:
        total = tokens = 0.0
        for row in range(len(task.rows)):  # each alone, so that nothing is padding or fills a batch
            length = int(task.source_length[row]), len(task.target[row])
            shape = Shape(*((length[0], 0) if task.source is None else (0, length[0])), length[1])
            alone = collate(task, [row], shape)
            log_p = np.asarray(log_p_of(model, {task.task.name: alone}))[0]
            hit_T = np.take_along_axis(log_p, np.asarray(alone.target.tokens_BT).T, 1)[:, 0]
            total -= float(((1 - smoothing) * hit_T + smoothing * log_p.mean(1)).sum())
            tokens += len(hit_T)
        loss = losses[f"validation_loss/{task.task.name}"]
        assert loss == pytest.approx(total / tokens, rel=1e-5)


def test_the_step_of_least_validation_loss_is_kept_and_scored(runs, tmp_path, monkeypatch):
    by_step = {1: (3.0, 5.0, 4.0), 2: (4.5, 1.0, 3.0), 3: (1.0, 5.0, 3.5), 4: (9.0, 2.0, 1.0)}
    best = 2  # by the mean; by a task alone, each of the others is
    names = [f"validation_loss/{task}" for task in ("st", "asr", "mt")]
    monkeypatch.setattr(  # no learning rate makes the last step a bad one for certain
        "taskaware.runs.listener.validation_losses",
        lambda *given: zip(names, by_step[int(given[3].step)], strict=True),
    )
    known = Run.open(runs / "base").experiment
    changed = {"steps": 4, "keep": 1, "save_every": 1, "validate_every": 1}
    (tmp_path / "e.json").write_text(to_json(dataclasses.replace(known, **changed)))
    assert taskaware("train", tmp_path / "e.json", "--out", tmp_path / "run").code == 0
    lines = map(json.loads, (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    losses = {
        line["step"]: tuple(line[name] for name in names) for line in lines if names[0] in line
    }
    assert losses == by_step
    assert saved_steps(Run.open(tmp_path / "run")) == (best, 4)
    assert taskaware("evaluate", tmp_path / "run", "--select", "best").code == 0
    (row,) = json.loads((tmp_path / "run" / "results.json").read_text())
    assert row["checkpoints"] == {"st": [best], "asr": [best], "mt": [best]}
    assert "no checkpoint has a validation loss" in refused(
        taskaware("evaluate", runs / "base", "--select", "best")
    )


def test_results_keep_a_row_for_each_split_and_selection(runs):
    for _ in range(2):
        assert taskaware("evaluate", runs / "base", "--select", "average").code == 0
    assert taskaware("evaluate", runs / "base").code == 0
    rows = json.loads((runs / "base" / "results.json").read_text())
    found = [(row["split"], row["selection"]) for row in rows]
    assert len(set(found)) == len(found)
    assert {("test", "average"), ("test", "newest")} <= set(found)
    averaged = next(row for row in rows if row["selection"] == "average")
    assert averaged["checkpoints"] == {task: [2, 3, 4] for task in ("st", "asr", "mt")}


def test_fine_tuning_begins_with_the_other_run_s_parameters(runs, tmp_path):
    """Known by no step at all."""
    tuned = Run.open(runs / "tuned").experiment
    train(Run.start(dataclasses.replace(tuned, steps=0), tmp_path / "run"))
    assert equal(params(tmp_path / "run"), params(runs / "base"))
    assert not equal(params(runs / "tuned"), params(runs / "base"))


def test_only_the_tasks_of_train_on_are_trained_and_all_are_scored(runs):
    lines = (runs / "tuned" / "metrics.jsonl").read_text().splitlines()
    assert {task for line in lines for task in json.loads(line)["loss"]} == {"asr"}
    assert taskaware("evaluate", runs / "tuned").code == 0
    (row,) = json.loads((runs / "tuned" / "results.json").read_text())
    metrics = {task: [*by_metric] for task, by_metric in row["scores"].items()}
    assert metrics == {"st": ["bleu"], "asr": ["wer"], "mt": ["bleu"]}


def test_going_on_from_another_shape_is_refused(runs, tmp_path):
    tuned = Run.open(runs / "tuned").experiment
    wider = dataclasses.replace(tuned, model=dataclasses.replace(tuned.model, d_ff=24))
    path = tmp_path / "wider.json"
    path.write_text(to_json(wider))
    message = refused(taskaware("train", path, "--out", tmp_path / "run"))
    assert message.startswith(f"{runs / 'base'}: its model has other parameters")


def test_going_on_with_task_vectors_of_other_tasks_is_refused(runs, tmp_path):
    vanilla = Run.open(runs / "base").experiment
    film = FiLMConfig(init="zero")
    explicit = dataclasses.replace(
        vanilla,
        model=dataclasses.replace(vanilla.model, conditioning="explicit", film=film),
        start_from=str(runs / "base"),
        frozen=True,
        steps=0,
    )
    train(Run.start(explicit, tmp_path / "base"))
    path = tmp_path / "turned.json"
    transposed = dataclasses.replace(
        explicit, tasks=explicit.tasks[::-1], start_from=str(tmp_path / "base")
    )
    path.write_text(to_json(transposed))
    message = refused(taskaware("train", path, "--out", tmp_path / "run"))
    assert "its task vectors are of st, asr, mt, not of mt, asr, st" in message


def test_going_on_from_another_tokenizer_is_refused(runs, tmp_path):
    out = tmp_path / "other.model"
    taskaware("vocab", "--data", runs / "corpus", "--out", out, "--size", 39)
    path = tmp_path / "other.json"
    tuned = Run.open(runs / "tuned").experiment
    path.write_text(to_json(dataclasses.replace(tuned, tokenizer=str(out))))
    message = refused(taskaware("train", path, "--out", tmp_path / "run"))
    assert message.startswith(f"{runs / 'base'}: trained with another tokenizer")


def test_the_forgetting_matrix_is_the_scores_before_and_after(runs, tmp_path):
    outcome = taskaware("forgetting", runs / "base", runs / "tuned", "--out", tmp_path / "f")
    assert (outcome.code, outcome.err) == (0, "")
    found = json.loads((tmp_path / "f" / "forgetting.json").read_text())
    assert found["models"] == ["before", "asr"]
    assert found["tasks"] == ["st BLEU", "asr WER", "mt BLEU"]
    for run, scores in zip(("base", "tuned"), found["score"], strict=True):
        rows = json.loads((runs / run / "results.json").read_text())
        row = next(r for r in rows if (r["split"], r["selection"]) == ("test", "newest"))
        kinds = (("st", "bleu"), ("asr", "wer"), ("mt", "bleu"))
        assert scores == [row["scores"][task][metric]["value"] for task, metric in kinds]
    before, after = found["score"]
    gained = [after[0] - before[0], before[1] - after[1], after[2] - before[2]]
    assert found["change"] == [[0, 0, 0], pytest.approx(gained)]
    assert (tmp_path / "f" / "forgetting.png").read_bytes().startswith(b"\x89PNG")
    assert "tuned on asr" in (tmp_path / "f" / "forgetting.svg").read_text()


@pytest.mark.long  # what they do to a model is in model/test_seq2seq
@pytest.mark.parametrize(
    "changes",
    [
        {"injection": "input"},
        {"conditioning": "tokens"},  # also in test_export
    ],
)
def test_other_ways_to_tell_the_task_go_the_whole_way(runs, changes, tmp_path):
    whole = tiny(runs)
    experiment = dataclasses.replace(whole, model=dataclasses.replace(whole.model, **changes))
    path = tmp_path / "e.json"
    path.write_text(to_json(experiment))
    for command in (("train", path, "--out", tmp_path / "run"), ("evaluate", tmp_path / "run")):
        outcome = taskaware(*command)
        assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.long  # resuming is also tried in test_durability
def test_meta_learning_goes_the_whole_way_and_resumes_bit_for_bit(runs, tmp_path):
    whole = dataclasses.replace(tiny(runs), strategy="maml")
    train(Run.start(whole, tmp_path / "straight"))
    for steps in (2, 4):
        train(Run.start(dataclasses.replace(whole, steps=steps), tmp_path / "paused"))
    assert equal(params(tmp_path / "straight"), params(tmp_path / "paused"))
    assert taskaware("evaluate", tmp_path / "straight").code == 0
    (row,) = json.loads((tmp_path / "straight" / "results.json").read_text())
    assert row["strategy"] == "maml"


class Examples(TaskExamples):
    """As much of a task's examples as looking for other tasks' references needs."""

    def __init__(self, task, rows):
        self.task, self.rows = task, rows


def test_the_same_input_is_found_in_other_rows_and_corpora():
    def rows(language, texts):
        return [
            Row(f"{language}{i}", 0, "", source, target, "en", language, language)
            for i, (source, target) in enumerate(texts)
        ]

    german, romanian = (
        Examples(
            Task(
                name=language,
                source="text",
                target="translation",
                metric="bleu",
                target_language=language,
            ),
            rows(language, texts),
        )
        for language, texts in (
            ("de", [("yes", "ja"), ("no", "nein"), ("taxi", "taxi")]),
            ("ro", [("no", "nu"), ("taxi", "taxi"), ("no", "ba nu")]),
        )
    )
    both = [german, romanian]
    assert other_references(german, both) == [(), ("nu", "ba nu"), ()]
    assert other_references(romanian, both) == [("nein",), (), ("nein",)]


def test_right_answers_of_the_same_kind_of_task_are_not_confused_with():
    texts = [
        ("Thank you.", "Danke."),
        ("Thank you.", "Vielen Dank."),
        ("OK.", "OK."),
        ("no", "nein"),
    ]
    rows = [Row(f"{i}", 8000, "", *text, "en", "de", "c") for i, text in enumerate(texts)]
    kinds = {"st": ("speech", "translation"), "mt": ("text", "translation")}
    kinds["asr"] = ("speech", "transcript")
    st, mt, asr = (
        Examples(Task(name=name, source=source, target=target, metric="bleu"), rows)
        for name, (source, target) in kinds.items()
    )
    assert other_references(st, [st, mt]) == [(), (), (), ()]
    heard = [("Thank you.",), ("Thank you.",), (), ("no",)]  # OK. is right of either
    assert other_references(st, [st, mt, asr]) == heard
    german = [("Danke.", "Vielen Dank."), ("Danke.", "Vielen Dank."), (), ("nein",)]
    assert other_references(asr, [st, mt, asr]) == german


def test_speech_without_a_transcript_is_the_same_input_as_no_other():
    german, romanian = (
        Examples(
            Task(
                name=language,
                source="speech",
                target="translation",
                metric="bleu",
                target_language=language,
            ),
            [Row(f"{i}", 8000, "", "", f"{language} {i}", "en", language, "c") for i in range(2)],
        )
        for language in ("de", "ro")
    )
    assert other_references(german, [german, romanian]) == [(), ()]
