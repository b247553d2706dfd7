import importlib.metadata
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support.command_line import ENGLISH, GERMAN, Outcome, get_ready, refused, taskaware, tiny

from taskaware.config import Decoding, Experiment, Task
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.base import Measured
from taskaware.files.strict_json import load
from taskaware.pretrained.model import digest
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.checkpoints import restore, saved_steps, vectors_of
from taskaware.runs.folder import Run


class Story(NamedTuple):
    """A run that was interrupted, finished and trained again, and what the command said."""

    run: Path
    interrupted: Outcome
    trained: Outcome
    trained_again: Outcome
    files_before: dict[str, bytes]


def checkpoint_files(run):
    """What training leaves, but for its clock and the scalars that TensorBoard reads."""
    kept = [path for path in (run / "checkpoints").rglob("*") if path.is_file()]
    kept += [run / "metrics.jsonl", run / "experiment.json", run / "tokenizer.model"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="module")
def story(given):
    run = given.folder / "run"
    train = ["train", given.experiment, "--out", run]
    with pytest.MonkeyPatch.context() as patch:
        from taskaware.runs import trainer

        place, placed = trainer.place_batch, []

        def place_and_be_interrupted(*args):
            placed.append(args)
            if len(placed) == 3:
                signal.raise_signal(signal.SIGINT)
            return place(*args)

        patch.setattr(trainer, "place_batch", place_and_be_interrupted)
        interrupted = taskaware(*train)
    trained = taskaware(*train)
    assert trained.code == 0, trained.err
    files_before = checkpoint_files(run)
    return Story(run, interrupted, trained, taskaware(*train), files_before)


@pytest.fixture(scope="module")
def evaluated(story):
    outcome = taskaware("evaluate", story.run)
    assert outcome.code == 0, outcome.err
    return outcome


@pytest.fixture(scope="module")
def results(story, evaluated):
    (row,) = json.loads((story.run / "results.json").read_text())
    return row


# From a table to a figure.


def test_no_command_of_the_story_complains(given, story, evaluated):
    for outcome in (given.prepared, given.vocab, story.trained, story.trained_again, evaluated):
        assert (outcome.code, outcome.err) == (0, "")


def test_preparing_says_how_much_there_is(given):
    cells = [line.split("│")[1:4] for line in given.prepared.out.splitlines() if "│" in line]
    found = [[cell.strip() for cell in row] for row in cells]
    assert found == [["train", "8", "0.00"], ["validation", "4", "0.00"], ["test", "4", "0.00"]]
    assert given.prepared.out.endswith(f"{given.folder / 'corpus'}: ready\n")


def test_the_vocabulary_has_the_size_asked_for(given):
    from taskaware.data.tokenizer import Tokenizer

    assert Tokenizer.load(given.folder / "tokenizer.model").size == 40
    assert given.vocab.out == f"{given.folder / 'tokenizer.model'}: 40 tokens from 8 examples\n"


def test_an_interrupted_run_finishes_the_step_and_says_how_to_go_on(story):
    assert story.interrupted.code == 130
    assert story.interrupted.err == (
        f"taskaware: {story.run}: stopped by SIGINT after step 3, which is saved; run the same "
        "command again to go on\n"
    )


def test_an_interrupted_run_goes_on_from_there(story):
    assert f"{story.run}: going on from step 3\n" in story.trained.out
    lines = [json.loads(line) for line in (story.run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 3, 4]
    assert set(lines[0]["loss"]) == {"st", "asr", "mt"}
    # A model that knows nothing gives each of 40 tokens 1 / 40.
    assert all(abs(loss - np.log(40)) < 1 for loss in lines[0]["loss"].values())


def test_an_interrupted_run_ends_where_one_without_a_pause_does(given, story, tmp_path):
    # Its last line is of step 4 alone, as that of the other, which was interrupted after step 3.
    train = ["train", given.experiment, "--out", tmp_path / "run", "--log-every", 1]
    assert taskaware(*train).code == 0
    ends = []
    for run in (story.run, tmp_path / "run"):
        last = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
        vectors = (run / "task_vectors.json").read_bytes()
        ends.append((last["step"], last["loss"], last["gradient_norm"], vectors))
    assert ends[0] == ends[1]  # bit for bit


def test_training_begins_by_telling_what_it_computes_on(story):
    first = story.trained.out.splitlines()[0]
    assert first.startswith("backend cpu, ")
    assert first.endswith("mesh data 1 × fsdp 1 × tensor 1, float32")


def test_what_many_devices_have_trained_is_evaluated_on_fewer(story, evaluated, tmp_path):
    run = shutil.copytree(story.run, tmp_path / "run")
    config = (run / "experiment.json").read_text()
    (run / "experiment.json").write_text(config.replace('"mesh_data": 1', '"mesh_data": 4000'))
    outcome = taskaware("evaluate", run)
    assert outcome.out.splitlines()[:-1] == evaluated.out.splitlines()[:-1]


def test_a_finished_run_that_is_trained_again_stays_as_it_is(story):
    assert f"{story.run}: going on from step 4\n" in story.trained_again.out
    assert "tokens/s" not in story.trained_again.out
    assert checkpoint_files(story.run) == story.files_before
    assert any(name.startswith("checkpoints/4/") for name in story.files_before)


def test_a_run_that_has_gone_further_than_asked_for_says_so(given, story, tmp_path):
    run = shutil.copytree(story.run, tmp_path / "run")
    outcome = taskaware("train", given.experiment, "--out", run, "--steps", 3)
    assert story.trained.out.splitlines()[-1].startswith(f"{story.run}: 4 steps; ")
    assert outcome.out.splitlines()[-1].startswith(f"{run}: 4 steps, more than the 3 asked for; ")


def test_what_a_tokenizer_cannot_give_back_is_told_before_training(given, tmp_path, monkeypatch):
    from taskaware.data.tokenizer import train_tokenizer
    from taskaware.runs.folder import Run

    def begin(run):
        raise UsageError("training has begun")

    monkeypatch.setattr(Run, "fresh_model", begin)
    known = [word for word in ENGLISH + GERMAN if "f" not in word]
    train_tokenizer(known, 30, tmp_path / "m")
    train = ["train", given.experiment, "--out", tmp_path / "run", "--tokenizer", tmp_path / "m"]
    outcome = taskaware(*train)
    assert refused(outcome) == "training has begun"
    # Numbers i and 5 i + 1 of "zero … five" and "null … fünf": of 4 and 5, "four" and "five"; of
    # 5 "fünf".
    spoken = [(i % 6, (5 * i + 1) % 6) for i in range(8)]
    asr, st = (sum(any(n in f for n in pair) for pair in spoken) for f in ({4, 5}, {5}))
    told = [line for line in outcome.out.splitlines() if "does not know" in line]
    assert [line.partition(" texts")[0] for line in told] == [
        f"st: {st} of 8",
        f"asr: {asr} of 8",
        f"mt: {st} of 8",
    ]
    assert "such as f ü: they will come out as \u2047" in told[0]


def test_a_run_folder_holds_its_experiment_and_what_it_ran_on(given, story):
    assert load(Experiment, story.run / "experiment.json") == tiny(given.folder)
    about = json.loads((story.run / "environment.json").read_text())
    for name in ("jax", "flax", "optax", "sacrebleu", "jiwer"):
        assert about["packages"][name] == importlib.metadata.version(name)
    assert about["backend"] == "cpu"
    tokenizer = (given.folder / "tokenizer.model").read_bytes()
    assert (story.run / "tokenizer.model").read_bytes() == tokenizer
    assert not list(story.run.glob("*.part"))


def test_a_run_folder_holds_the_task_vectors_that_decoding_uses(story):
    stored = TaskVectors.load(story.run / "task_vectors.json")
    assert [vector.name for vector in stored.vectors] == ["st", "asr", "mt"]
    assert stored.array.shape == (3, 2 * 16)
    for vector in stored.vectors:
        assert len(set(vector.examples)) == 2
        assert set(vector.examples) <= {f"u{i}" for i in range(8)}  # training examples alone


def test_results_hold_what_a_table_of_results_needs(results):
    assert (results["conditioning"], results["strategy"], results["split"]) == (
        "implicit",
        "joint",
        "test",
    )
    assert (results["train_steps"], results["seed"]) == (4, 0)
    assert set(results["confusion"]) == set(results["scores"]) == {"st", "asr", "mt"}
    assert all(0 <= share <= 100 for share in results["confusion"].values())
    bleu = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"
    assert results["scores"]["st"]["bleu"]["signature"].startswith(bleu)
    assert results["scores"]["mt"]["bleu"]["signature"].startswith(bleu)
    assert results["scores"]["asr"]["wer"]["signature"] == "lower|strip-punctuation|v1"
    assert [m["left_out"] for task in results["scores"].values() for m in task.values()] == [0] * 3
    assert results["decoding"]["beam_size"] == 2


def test_results_count_the_models_parameters(results):
    attention, norm = 4 * (16 * 16 + 16), 2 * 16
    feed_forward = 2 * (16 * 16 + 16)
    convolutions = (9 * 1 * 2 + 2) + 2 * (9 * 2 * 2 + 2)
    speech = convolutions + (80 // 8 * 2 * 16 + 16)
    encoder = attention + feed_forward + 3 * norm  # one norm a branch, one at the end
    decoder = 2 * attention + feed_forward + 4 * norm
    block = 4 * (8 * 8 + 8) + 2 * (8 * 8 + 8) + 2 * (2 * 8)
    tcn = (16 * 8 + 8) + 2 * block + (2 * 8 * 2 * 16 + 2 * 16)
    assert results["tcn_parameters"] == tcn
    assert results["parameters"] == 40 * 16 + speech + encoder + decoder + tcn


def test_scores_are_those_of_the_texts_beside_them(story, results):
    import sacrebleu

    texts = {
        (task, kind): (story.run / f"test.{task}.{kind}.txt").read_text().splitlines()
        for task in ("st", "asr", "mt")
        for kind in ("hyp", "ref")
    }
    german = [f"{GERMAN[i % 6]} {GERMAN[(5 * i + 1) % 6]}" for i in range(8, 12)]
    english = [f"{ENGLISH[i % 6]} {ENGLISH[(5 * i + 1) % 6]}" for i in range(8, 12)]
    assert texts["st", "ref"] == texts["mt", "ref"] == german
    assert texts["asr", "ref"] == english
    for task in ("st", "mt"):
        bleu = sacrebleu.corpus_bleu(texts[task, "hyp"], [german]).score
        assert results["scores"][task]["bleu"]["value"] == pytest.approx(bleu)
    assert 0 <= results["scores"]["asr"]["wer"]["value"] < 1000


def test_seconds_are_those_of_all_sittings(story, results):
    lines = [json.loads(line) for line in (story.run / "metrics.jsonl").read_text().splitlines()]
    _, before, after = (line["seconds"] for line in lines)  # each since its own sitting began
    assert results["seconds"] >= before + after


def test_evaluation_prints_the_row(evaluated, results):
    assert "st BLEU" in evaluated.out
    assert "asr WER" in evaluated.out
    assert f"{results['parameters']:,}" in evaluated.out
    assert f"{results['scores']['asr']['wer']['value']:.1f}" in evaluated.out


def test_decoding_prints_a_line_an_example(story, evaluated):
    decoded = taskaware("decode", story.run, "--task", "st")
    assert (decoded.code, decoded.err) == (0, "")
    assert decoded.out == (story.run / "test.st.hyp.txt").read_text()
    assert decoded.out.count("\n") == 4


def test_embedding_draws_a_point_per_example(story):
    embedded = taskaware("embed", story.run)
    assert (embedded.code, embedded.err) == (0, "")
    header, *points = (story.run / "task_embeddings.csv").read_text().splitlines()
    assert header == "task,corpus,id,x,y"
    assert [point.split(",")[:3] for point in points] == [
        [task, "table", f"u{i}"] for task in ("st", "asr", "mt") for i in range(8, 12)
    ]
    assert (story.run / "task_embeddings.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (story.run / "task_embeddings.svg").read_text()
    assert "silhouette by task" in embedded.out


# Masks over training's frames.


def last_line(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


def test_a_run_begun_before_masks_could_be_chosen_goes_on(given, story, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(story.run, run)
    experiment = json.loads((run / "experiment.json").read_text())
    del experiment["spec_augment"]
    (run / "experiment.json").write_text(json.dumps(experiment))
    outcome = taskaware("train", given.experiment, "--out", run, "--steps", 4)
    assert (outcome.code, outcome.err) == (0, "")
    assert "going on from step 4" in outcome.out


def test_masks_change_training_and_a_run_that_paused_ends_where_one_without_does(
    given, story, tmp_path, monkeypatch
):
    masks = ["--spec-augment.time-masks", 1, "--spec-augment.frequency-masks", 2]
    whole = ["train", given.experiment, "--out", tmp_path / "whole", *masks]
    paused = ["train", given.experiment, "--out", tmp_path / "paused", *masks]
    for argv in (whole, [*paused, "--steps", 2], paused):
        assert taskaware(*argv).code == 0
    first, second, unmasked = map(last_line, (tmp_path / "whole", tmp_path / "paused", story.run))
    assert (first["loss"], first["gradient_norm"]) == (second["loss"], second["gradient_norm"])
    assert first["loss"]["asr"] != unmasked["loss"]["asr"]
    refusal = refused(taskaware("train", given.experiment, "--out", tmp_path / "whole"))
    assert "spec_augment.time_masks 1 → 0" in refusal

    def must_not_be_called(*args):
        raise AssertionError("masks outside of training")

    monkeypatch.setattr("taskaware.data.batches.spec_augment", must_not_be_called)
    assert taskaware("evaluate", tmp_path / "whole").code == 0


# What a run folder refuses.


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


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("task_vectors.json", ["evaluate"]),
        ("results.json", ["evaluate"]),
        ("validation_scores.json", ["evaluate", "--select", "single"]),
        ("seconds.json", ["evaluate"]),
    ],
)
def test_a_damaged_file_that_only_tells_is_named_and_need_only_be_deleted(
    story, tmp_path, name, command
):
    run = shutil.copytree(story.run, tmp_path / "run")
    argv = [command[0], run, *command[1:]]
    assert taskaware(*argv).code == 0
    for content in (b"", b"[{", (run / name).read_bytes()[:-2], b"\xff\xfe"):
        (run / name).write_bytes(content)
        if content[-1:].isdigit():
            continue  # a number with a digit less is a number
        message = refused(taskaware(*argv))
        assert message.startswith(f"{run / name}: damaged (")
        assert message.endswith("delete it and run the same command again")
    (run / name).unlink()
    assert taskaware(*argv).code == 0


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
    assert taskaware("prepare", "manifest", tmp_path / "table.tsv", "--out", other, *root).code == 0
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
