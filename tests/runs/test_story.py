"""From a table to a figure."""

import importlib.metadata
import json
import shutil

import numpy as np
import pytest
from support.command_line import ENGLISH, GERMAN, refused, taskaware, tiny
from support.story import checkpoint_files

from taskaware.config import Experiment
from taskaware.errors import UsageError
from taskaware.evaluation.vector_map import count_nearest
from taskaware.files.strict_json import load
from taskaware.pretrained.vectors import TaskVectors
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run
from taskaware.runs.inference import example_vectors


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


def test_each_example_is_counted_at_the_task_whose_vector_is_nearest(story):
    run = Run.open(story.run)
    model, _ = restore(run)
    centers = {vector.name: vector.array for vector in vectors_of(run, model).vectors}
    expected = {}
    for task in run.examples("test"):
        counts = dict.fromkeys(centers, 0)
        for index in range(len(task.rows)):
            (vector_Z,) = example_vectors(model, task, [index])
            counts[min(centers, key=lambda name: ((centers[name] - vector_Z) ** 2).sum())] += 1
        expected[task.task.name] = counts
    assert count_nearest(run) == expected
    assert [sum(counts.values()) for counts in expected.values()] == [4, 4, 4]


# Masks over training's frames.


def last_line(run):
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])


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
