"""What a run folder refuses, and what it goes on from."""

import shutil
from dataclasses import replace

import pytest
from support.command_line import refused, taskaware, tiny
from support.story import checkpoint_files

from taskaware.config import Decoding, Experiment, Task
from taskaware.evaluation.metrics.base import Measured
from taskaware.files.strict_json import load
from taskaware.pretrained.model import digest
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.checkpoints import restore, saved_steps, vectors_of
from taskaware.runs.folder import Run


def test_an_unknown_task_is_refused_with_the_nearest(story):
    message = refused(taskaware("decode", story.run, "--task", "srt"))
    assert message == "unknown task 'srt'; expected one of st, asr, mt; did you mean 'st'?"


def test_an_unknown_split_is_refused_with_the_nearest(story):
    for command in (("evaluate",), ("embed",), ("decode", "--task", "mt")):
        message = refused(taskaware(*command, story.run, "--split", "tets"))
        assert message.endswith(
            "no split 'tets', found train, test, validation; did you mean 'test'?"
        )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--seed", 3], "seed 0 → 3"),
        (["--batching.size", 4], "size 2 → 4"),
        (["--model.dropout", 0.2], "dropout 0.1 → 0.2"),
        (["--model.tcn.scaled"], "scaled false → true"),
        (["--tasks.2.name", "nmt"], "name mt → nmt"),
    ],
)
def test_another_experiment_in_the_same_folder_is_refused_with_the_difference(
    given, story, options, named
):
    message = refused(taskaware("train", given.experiment, "--out", story.run, *options))
    assert message.startswith(f"{story.run}: begun with another experiment (")
    assert named in message.replace('"', "")
    assert checkpoint_files(story.run) == story.files_before


@pytest.mark.parametrize(
    ("options", "size", "seed"),
    [
        (["--seed", 7], 2, 7),
        pytest.param(
            ["--batching.size", 4, "--optimizer.learning_rate", 0.5], 4, 0, marks=pytest.mark.long
        ),
    ],
)
def test_changes_that_are_accepted_are_taken_from_the_next_step_on(
    given, story, tmp_path, options, size, seed
):
    run = shutil.copytree(story.run, tmp_path / "run")
    train = ["train", given.experiment, "--out", run, *options, "--steps", 6]
    assert "--accept-changes" in refused(taskaware(*train))
    outcome = taskaware(*train, "--accept-changes")
    assert outcome.code == 0, outcome.err
    assert "going on from step 4" in outcome.out
    changed = load(Experiment, run / "experiment.json")
    assert (changed.batching.size, changed.seed) == (size, seed)
    assert taskaware(*train, "--steps", 7).code == 0  # from now on it is the run's own


@pytest.mark.parametrize("width", [("--model.d_ff", 32), ("--model.conditioning", "vanilla")])
def test_parameters_of_another_shape_cannot_be_accepted(given, story, tmp_path, width):
    run = shutil.copytree(story.run, tmp_path / "run")
    train = ["train", given.experiment, "--out", run, *width, "--accept-changes"]
    assert "cannot be restored into this model" in refused(taskaware(*train))


def test_a_damaged_file_that_only_tells_is_named_and_need_only_be_deleted(story, tmp_path):
    run = shutil.copytree(story.run, tmp_path / "run")
    evaluate = ["evaluate", run]
    single = [*evaluate, "--select", "single"]
    assert taskaware(*single).code == 0
    whole = (run / "task_vectors.json").read_bytes()
    for name, argv, damages in (
        ("task_vectors.json", evaluate, (b"", b"[{", whole[:-2], b"\xff\xfe")),
        ("results.json", evaluate, (b"[{",)),
        ("validation_scores.json", single, (b"",)),
        ("seconds.json", evaluate, (b"\xff\xfe",)),
    ):
        for content in damages:
            (run / name).write_bytes(content)
            message = refused(taskaware(*argv))
            assert message.startswith(f"{run / name}: damaged (")
            assert message.endswith("delete it and run the same command again")
        (run / name).unlink()
    assert taskaware(*single).code == 0


def test_a_run_that_failed_before_it_saved_anything_may_be_changed(given, tmp_path):
    train = ["train", given.experiment, "--out", tmp_path / "run"]
    assert "raise them" in refused(taskaware(*train, "--batching.max_tokens", 1))
    assert taskaware(*train).code == 0
    assert load(Experiment, tmp_path / "run" / "experiment.json") == tiny(given.folder)


def test_a_replaced_tokenizer_is_refused(given, story, tmp_path):
    run, other = tmp_path / "run", tmp_path / "other.model"
    shutil.copytree(story.run, run)
    corpus = given.folder / "corpus"
    assert taskaware("vocab", "--data", corpus, "--out", other, "--size", 41).code == 0
    shutil.copy(other, run / "tokenizer.model")
    assert f"not the tokenizer that {run} was begun with" in refused(
        taskaware("train", given.experiment, "--out", run)
    )
    replaced = ["train", given.experiment, "--out", run, "--tokenizer", other]
    for argv in (replaced, ["evaluate", run], ["decode", run, "--task", "st"], ["embed", run]):
        assert "not trained with this tokenizer" in refused(taskaware(*argv))


def test_other_data_in_the_same_folder_are_refused(given, story, tmp_path):
    table = (given.folder / "table.tsv").read_text().replace("vier", "fier")
    (tmp_path / "table.tsv").write_text(table)
    other = tmp_path / "corpus"
    root = ["--audio-root", given.folder]
    prepare = ["prepare", "manifest", tmp_path / "table.tsv", "--out", other, *root]
    assert taskaware(*prepare, "--workers", 1).code == 0
    shutil.copytree(story.run, tmp_path / "run")
    changed = [word for i in range(3) for word in (f"--tasks.{i}.data", other)]
    train = ["train", given.experiment, "--out", tmp_path / "run"]
    assert "not trained with this data" in refused(taskaware(*train, *changed))


def test_data_and_runs_may_be_moved(given, story, tmp_path):
    shutil.copytree(story.run, tmp_path / "run")
    shutil.copytree(given.folder / "corpus", tmp_path / "corpus")
    changed = [word for i in range(3) for word in (f"--tasks.{i}.data", tmp_path / "corpus")]
    train = ["train", given.experiment, "--out", tmp_path / "run"]
    outcome = taskaware(*train, *changed)
    assert (outcome.code, outcome.err) == (0, "")
    assert "going on from step 4" in outcome.out


def test_stored_vectors_are_decoded_with_if_they_are_of_that_model_alone(story, tmp_path):
    run = Run.open(shutil.copytree(story.run, tmp_path / "run"))
    path = run.folder / "task_vectors.json"
    (model, _), stored = restore(run), TaskVectors.load(path)
    other = replace(stored, vectors=stored.vectors[::-1])
    other.save(path)  # of the same model: taken as it is, not computed
    assert vectors_of(run, model) == other
    earlier, _ = restore(run, saved_steps(run)[:1])
    assert vectors_of(run, earlier).model == digest(earlier) != stored.model
    replace(other, model="0" * 64).save(path)
    assert vectors_of(run, model) == stored
    path.unlink()
    assert vectors_of(run, model) == stored


def test_vectors_of_other_examples_do_not_replace_those_that_decoding_uses(story, tmp_path):
    run = shutil.copytree(story.run, tmp_path / "run")
    before = (run / "task_vectors.json").read_bytes()
    out = run / "task_vectors.1_examples.seed_7.json"
    said = taskaware("embed", run, "--examples", 1, "--seed", 7)
    assert said.out.startswith(f"{out}: st, asr, mt, 32 numbers each\n")
    assert (run / "task_vectors.json").read_bytes() == before
    assert [len(vector.examples) for vector in TaskVectors.load(out).vectors] == [1, 1, 1]
    message = refused(taskaware("embed", run, "--examples", 0))
    assert message == "examples: expected 1 or more, found 0"


def test_decoded_text_that_cannot_be_written_is_one_line(story, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "h.txt", tmp_path):
        argv = ["decode", story.run, "--task", "mt", "--out", out]
        assert str(out) in refused(taskaware(*argv))


def test_decoded_text_can_be_written(story, evaluated, tmp_path):
    out = tmp_path / "h.txt"
    assert taskaware("decode", story.run, "--task", "st", "--out", out) == (0, "", "")
    assert out.read_text() == (story.run / "test.st.hyp.txt").read_text()


def test_a_run_without_a_checkpoint_cannot_be_evaluated(given, tmp_path):
    from taskaware.runs.folder import Run

    Run.start(tiny(given.folder), tmp_path / "run")
    message = refused(taskaware("evaluate", tmp_path / "run"))
    assert message.endswith("no checkpoint; run taskaware train first")


def test_a_model_without_task_vectors_cannot_draw_them(given, tmp_path):
    from taskaware.runs import folder

    whole = tiny(given.folder)
    vanilla = replace(whole, model=replace(whole.model, conditioning="vanilla"))
    folder.Run.start(vanilla, tmp_path / "run")
    assert "vanilla" in refused(taskaware("embed", tmp_path / "run"))


def test_a_single_task_has_a_table_too():
    from taskaware.evaluation.results import Result
    from taskaware.evaluation.tables import results_table

    mt = Task(name="mt", source="text", target="transcript", metric="cer")
    rows = [
        Result(
            conditioning="vanilla",
            strategy="joint",
            split="test",
            selection="newest",
            checkpoints={"mt": (4,)},
            scores={"mt": {"cer": Measured(value=value, signature="s")}},
            confusion={"mt": None},
            other_language_words={"mt": None},
            train_steps=4,
            seconds=1.0,
            parameters=7,
            tcn_parameters=0,
            seed=0,
            decoding=Decoding(),
        )
        for value in (12.34, None)
    ]
    table = results_table(rows, [mt])
    assert table.columns[1].header == "mt CER"
    assert list(table.columns[1].cells) == ["12.3", "–"]
    assert list(table.columns[2].cells) == ["–", "–"]


@pytest.mark.parametrize("command", [["evaluate"], ["decode", "--task", "st"], ["embed"]])
def test_a_folder_that_is_no_run_is_refused(command, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        message = refused(taskaware(*command, folder))
        assert message == f"{folder}: no experiment.json; expected a folder of taskaware train"


@pytest.mark.parametrize("out", ["file", "file/run", "full"])
def test_a_place_that_cannot_be_a_run_folder_is_refused(given, tmp_path, out):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    message = refused(taskaware("train", given.experiment, "--out", tmp_path / out))
    assert message.startswith(f"{tmp_path / out}: ")
    assert message.endswith("choose another --out")
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "full", "precious"}


def test_more_devices_than_there_are_are_refused(given, tmp_path):
    argv = ["train", given.experiment, "--out", tmp_path / "run", "--mesh-data", 4000]
    found = "found mesh_data 4000 × mesh_fsdp 1 × mesh_tensor 1; lower them"
    assert found in refused(taskaware(*argv))


def test_a_run_is_told_before_its_programs_are_more_than_linux_lets_it_hold(
    given, tmp_path, monkeypatch
):
    from taskaware.training import compiling

    for limit in (2100, 2099):
        counted = iter([(100, limit), (2100, limit)])  # and not again after the first shape
        monkeypatch.setattr(compiling, "memory_mappings", lambda counted=counted: next(counted))
        train = ["train", given.experiment, "--out", tmp_path / str(limit), "--steps", 2]
        outcome = taskaware(*train)
        assert outcome.code == 0, outcome.err
        told = "takes 2,000 memory mappings, up to 1 shapes will come" in outcome.out
        assert told == (limit < 100 + 1 * 2000)
