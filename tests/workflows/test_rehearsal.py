import shutil
from dataclasses import replace

import jax
import pytest
from support.command_line import get_ready, refused, taskaware, tiny

from taskaware.data.corpora.base import PreparedCorpus
from taskaware.files.strict_json import to_json


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="module")
def trained(given):
    run = given.folder / "trained"
    assert taskaware("train", given.experiment, "--out", run).code == 0
    return run


def dry(experiment, run, *options):
    return taskaware("train", experiment, "--out", run, *options, "--dry-run")


def write(folder, experiment):
    path = folder / "experiment.json"
    path.write_text(to_json(experiment))
    return path


def told(outcome, what):
    """What the page says of one thing, and the command below it if there is one."""
    lines = outcome.out.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line[8:].startswith(f"{what}: ")]
    command = lines[at + 1].strip() if lines[at + 1].startswith("  ") else ""
    return lines[at][:8].strip(), lines[at][8:].removeprefix(f"{what}: "), command


def steps(outcome):
    return outcome.out.splitlines()[-1].removeprefix("steps   ")


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


# Everything is there.


def test_where_all_is_there_the_page_says_so_and_nothing_is_written(given, tmp_path):
    before = files(given.folder)
    outcome = dry(given.experiment, tmp_path / "run")
    assert (outcome.code, outcome.err) == (0, "")
    assert "MISSING" not in outcome.out
    assert files(given.folder) == before
    assert not list(tmp_path.iterdir())


def test_the_page_counts_examples_and_hours(given, tmp_path):
    samples = [row.num_samples for row in PreparedCorpus(given.folder / "corpus").rows("train")]
    hours = f"{sum(samples) / 16_000 / 3600:.2f} hours of speech"
    outcome = dry(given.experiment, tmp_path / "run")
    corpus = told(outcome, f"data folder {given.folder / 'corpus'}")
    assert corpus == ("found", f"train 8 examples, {hours}", "")
    assert told(outcome, "task st")[1] == f"train 8 examples, {hours}"
    assert told(outcome, "task mt")[1] == "train 8 examples"
    assert told(outcome, f"tokenizer {given.folder / 'tokenizer.model'}")[1] == "40 tokens"


def test_the_page_counts_parameters_and_the_bytes_of_training_them(given, trained, tmp_path):
    from flax import nnx

    from taskaware.runs.checkpoints import restore
    from taskaware.runs.folder import Run

    params = jax.tree.leaves(nnx.state(restore(Run.open(trained))[0]))
    count = sum(leaf.size for leaf in params)
    said = told(dry(given.experiment, tmp_path / "run"), "model")[1]
    assert "1 + 1 layers, d_model 16, vocabulary 40: " in said
    assert f" {count:,} parameters, " in said
    # Each number and its two moments in float32, and two counts of updates.
    assert f" {3 * 4 * count + 2 * 4:,} bytes " in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "4, in examples: st 2 per step, 1.0 epochs; asr 2 per step, 1.0 epochs; mt 2 per"),
        (["--steps", 10], "10, in examples: st 2 per step, 2.5 epochs; "),
        (["--optimizer.accumulate", 3], "4, in examples: st 6 per step, 3.0 epochs; "),
        (["--strategy", "maml"], "4, in examples: st 4 per step, 2.0 epochs; "),
        (["--train-on", "mt"], "4, in examples: mt 2 per step, 1.0 epochs ("),
        (["--batching.mixing", "one_task"], "4, in examples: st 0.6667 per step, 0.3 epochs; "),
        (["--mesh-data", 4], "4, in examples: st 4 per step, 2.0 epochs; "),
        (["--batching.unit", "tokens"], "4, in each as many examples as 2 tokens per task hold"),
    ],
)
def test_steps_are_told_in_examples_and_epochs_with_the_fields_that_were_set(
    given, tmp_path, options, expected
):
    assert steps(dry(given.experiment, tmp_path / "run", *options)).startswith(expected)


def test_examples_that_are_too_long_are_counted(given, tmp_path):
    outcome = dry(given.experiment, tmp_path / "run", "--batching.max-seconds", 0.13)
    # Example i has 2000 + 100 i samples: 1 + (samples - 400) // 160 frames, 13 for i = 4.
    found = [word for word in told(outcome, "task st")[1].split() if word.isdigit()]
    assert found == ["5", "3"]
    assert told(outcome, "task st")[1].endswith("; 3 too long, left out")
    assert told(outcome, "task mt")[1] == "train 8 examples"


def test_a_run_that_was_begun_is_told(given, trained):
    before = files(trained)
    said = told(dry(given.experiment, trained), f"run folder {trained}")
    assert said == ("found", "begun; training goes on from its newest checkpoint", "")
    assert files(trained) == before


def test_a_run_to_start_from_is_found(given, trained, tmp_path):
    outcome = dry(given.experiment, tmp_path / "run", "--start-from", trained)
    assert outcome.code == 0
    assert told(outcome, f"start_from {trained}")[0] == "found"


# Something is missing.


def test_what_is_missing_is_named_with_the_command_that_makes_it(given, tmp_path):
    experiment = tiny(tmp_path)
    (text,) = [task for task in experiment.tasks if task.name == "mt"]
    text = replace(text, data=("nowhere/text",))
    experiment = write(tmp_path, replace(experiment, tasks=(*experiment.tasks[:2], text)))
    outcome = dry(experiment, tmp_path / "run")
    corpus, tokenizer = tmp_path / "corpus", tmp_path / "tokenizer.model"
    assert refused(outcome) == (
        f"{tmp_path / 'run'}: cannot be trained, missing data folder {corpus}, data folder "
        f"nowhere/text, tokenizer {tokenizer}; the dry run's page says what to do about each"
    )
    missing, said, command = told(outcome, f"data folder {corpus}")
    assert (missing, command) == (
        "MISSING",
        f"taskaware prepare manifest TABLE.tsv --out {corpus}",
    )
    assert said.startswith("expected a folder written by taskaware prepare")
    assert told(outcome, "data folder nowhere/text")[2] == (
        "taskaware prepare parallel FOLDER --languages en de --train STEM --out nowhere/text"
    )
    assert told(outcome, f"tokenizer {tokenizer}")[2] == (
        f"taskaware vocab --data {corpus} nowhere/text --out {tokenizer}"
    )
    assert "vocabulary 32,000 (assumed" in told(outcome, "model")[1]
    assert steps(outcome) == "4; the missing data decide how many epochs they are"
    assert {path.name for path in tmp_path.iterdir()} == {"experiment.json"}


def test_the_commands_are_those_of_the_experiment_where_it_tells_them(given, tmp_path):
    (tmp_path / "base.py").write_text(
        "data = {'d': 'taskaware prepare toy --out {out}', 't': 'taskaware vocab --out {out}'}"
    )
    (tmp_path / "row.py").write_text(
        "from taskaware.config import Experiment, Task\n"
        "task = Task(name='mt', source='text', target='translation', metric='bleu', data=('d',))\n"
        "experiment = Experiment(tasks=(task,), tokenizer='./t')\n"
    )
    outcome = dry(tmp_path / "row.py", tmp_path / "run", "--model.encoder-layers", 1)
    assert told(outcome, "data folder d")[2] == "taskaware prepare toy --out d"
    assert told(outcome, "tokenizer ./t")[2] == "taskaware vocab --out t"


def test_too_few_devices_are_missing(given, tmp_path):
    outcome = dry(given.experiment, tmp_path / "run", "--mesh-data", 4000)
    assert refused(outcome).startswith(f"{tmp_path / 'run'}: cannot be trained, missing devices;")
    missing, said, _ = told(outcome, "devices")
    assert missing == "MISSING"
    assert said.endswith("found mesh_data 4000 × mesh_fsdp 1 × mesh_tensor 1; lower them")


@pytest.mark.parametrize(
    ("options", "what", "said"),
    [
        (["--tasks.0.target-language", "ro"], "task st", "no speech example with a translation"),
        (["--tasks.1.data"], "task asr", "no speech example with a transcript (en to en) in split"),
        (["--batching.max-seconds", 0.01], "task asr", "every example is longer than batching"),
    ],
)
def test_data_that_serve_no_task_are_missing(given, tmp_path, options, what, said):
    outcome = dry(given.experiment, tmp_path / "run", *options)
    assert what in refused(outcome)
    assert told(outcome, what)[0] == "MISSING"
    assert told(outcome, what)[1].startswith(said)


def test_the_split_that_validation_needs_is_looked_for_too(given, tmp_path):
    outcome = dry(given.experiment, tmp_path / "run", "--validate-every", 2)
    assert outcome.code == 0
    assert told(outcome, "task mt (validation)") == ("found", "validation 4 examples", "")


def test_a_damaged_tokenizer_is_missing(given, tmp_path):
    (tmp_path / "t.model").write_bytes(b"other")
    outcome = dry(given.experiment, tmp_path / "run", "--tokenizer", tmp_path / "t.model")
    assert told(outcome, f"tokenizer {tmp_path / 't.model'}")[1].startswith("expected a Sentence")


def test_a_run_to_start_from_that_is_not_there_or_has_saved_nothing_is_missing(given, tmp_path):
    from taskaware.runs.folder import Run

    Run.start(tiny(given.folder), tmp_path / "base")
    for name, said in (("nowhere", "no experiment.json"), ("base", "no checkpoint")):
        base = tmp_path / name
        outcome = dry(given.experiment, tmp_path / "run", "--start-from", base)
        assert f"start_from {base}" in refused(outcome)
        found = told(outcome, f"start_from {base}")
        assert found[1].startswith(said)
        assert found[2] == f"taskaware train EXPERIMENT --out {base}"
        assert not (base / "checkpoints").exists()


def test_a_run_to_start_from_must_have_the_same_parameters(given, trained, tmp_path):
    options = ["--start-from", trained, "--model.d-ff", 32]
    outcome = dry(given.experiment, tmp_path / "run", *options)
    assert told(outcome, f"start_from {trained}")[1].startswith("its model has other parameters")


@pytest.mark.parametrize("out", ["file", "file/run", "full"])
def test_a_place_that_cannot_be_a_run_folder_is_missing(given, tmp_path, out):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    outcome = dry(given.experiment, tmp_path / out)
    assert f"run folder {tmp_path / out}" in refused(outcome)
    assert told(outcome, f"run folder {tmp_path / out}")[1].endswith("choose another --out")


def test_a_run_folder_of_another_experiment_is_missing(given, trained):
    outcome = dry(given.experiment, trained, "--seed", 3)
    assert "begun with another experiment (seed 0 → 3)" in outcome.out
    assert outcome.code == 2


def test_a_folder_of_augmented_speech_is_not_looked_into_for_validation(given, tmp_path):
    corpus, augmented = given.folder / "corpus", tmp_path / "augmented"
    prepare = ["prepare", "augmented", corpus, "--out", augmented, "--copies", 2]
    assert taskaware(*prepare, "--workers", 1).code == 0
    both = (str(corpus), str(augmented))
    tasks = [replace(task, data=both) for task in tiny(given.folder).tasks]
    experiment = write(tmp_path, replace(tiny(given.folder), tasks=tuple(tasks)))
    outcome = dry(experiment, tmp_path / "run", "--validate-every", 2)
    assert (outcome.code, outcome.err) == (0, "")
    assert told(outcome, "task st")[1].startswith("train 24 examples")
    assert told(outcome, "task st (validation)")[1].startswith("validation 4 examples")
    shutil.rmtree(augmented)
    outcome = dry(experiment, tmp_path / "run", "--validate-every", 2)
    assert told(outcome, f"data folder {augmented}")[0] == "MISSING"


def test_the_option_may_stand_before_the_experiment(given, tmp_path):
    outcome = taskaware("train", "--dry-run", given.experiment, "--out", tmp_path / "run")
    assert outcome.code == 0
    assert steps(outcome).startswith("4, in examples")
    assert "--dry-run" in taskaware("train", "--help").out
    assert "--dry-run" in taskaware("train", given.experiment, "--help").out


def test_a_split_that_is_absent_is_missing(given, tmp_path):
    table = (given.folder / "table.tsv").read_text().replace("\ttrain\n", "\ttest\n")
    (tmp_path / "table.tsv").write_text(table)
    corpus = tmp_path / "corpus"
    root = ["--audio-root", given.folder]
    prepare = ["prepare", "manifest", tmp_path / "table.tsv", "--out", corpus, *root]
    assert taskaware(*prepare, "--workers", 1).code == 0
    tasks = [replace(task, data=(str(corpus),)) for task in tiny(given.folder).tasks]
    experiment = write(tmp_path, replace(tiny(given.folder), tasks=tuple(tasks)))
    outcome = dry(experiment, tmp_path / "run")
    said = told(outcome, f"data folder {corpus}")
    assert (said[0], said[1]) == ("MISSING", "no split 'train', found test, validation")


def test_a_task_that_the_test_split_lacks_can_be_trained_as_evaluation_leaves_it_out(
    given, tmp_path
):
    rows = [row.split("\t") for row in (given.folder / "table.tsv").read_text().splitlines()]
    table = [[*row[:6], "", "en", "", "test"] if row[-1] == "test" else row for row in rows]
    (tmp_path / "table.tsv").write_text("".join("\t".join(row) + "\n" for row in table))
    corpus = tmp_path / "corpus"
    root = ["--audio-root", given.folder]
    prepare = ["prepare", "manifest", tmp_path / "table.tsv", "--out", corpus, *root]
    assert taskaware(*prepare, "--workers", 1).code == 0
    tasks = [replace(task, data=(str(corpus),)) for task in tiny(given.folder).tasks]
    experiment = write(tmp_path, replace(tiny(given.folder), tasks=tuple(tasks)))
    outcome = dry(experiment, tmp_path / "run")
    assert outcome.code == 0
    found, said, _ = told(outcome, "task st (test)")
    assert found == "found"
    assert said.endswith("; evaluate leaves the task out")
    assert told(outcome, "task asr (test)")[1].startswith("test 4 examples")
