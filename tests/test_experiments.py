import re

import pytest
from support.command_line import ROOT, refused, taskaware

from taskaware.config import Experiment, FiLMConfig, TCNConfig
from taskaware.config.file import definitions, load_experiment

FOLDER = ROOT / "experiments"
FILES = {
    path.relative_to(FOLDER).as_posix(): path
    for path in sorted(FOLDER.rglob("*.py"))
    if re.search(r"^experiments? = ", path.read_text(encoding="utf-8"), re.MULTILINE)
}
MUSTC = {
    name.split("/")[1].removesuffix(".py"): path
    for name, path in FILES.items()
    if name.startswith("mustc/")
}


def runs(path):
    """Every experiment of a file by its name, which is empty where there is one alone."""
    found = definitions(path)
    return found.get("experiments") or {"": found["experiment"]}


def words(path, option):
    """Of each command that a file's docstring tells, what stands after a word."""
    return re.findall(rf"^ {{4}}.*{option} (\S+)", definitions(path)["__doc__"], re.MULTILINE)


# Every experiment.


@pytest.mark.parametrize("name", FILES)
def test_a_file_defines_experiments_by_task_or_one(name):
    found = runs(FILES[name])
    assert found
    for task, experiment in found.items():
        assert isinstance(experiment, Experiment)
        assert not task or task in [known.name for known in experiment.tasks]
        named = FILES[name].with_name(f"{FILES[name].name}:{task}") if task else FILES[name]
        assert load_experiment(named) == experiment


@pytest.mark.parametrize("name", FILES)
def test_a_docstring_tells_the_command_the_paper_s_number_and_ours(name):
    about = definitions(FILES[name])["__doc__"]
    command = rf"^ {{4}}(taskaware|python) .*\b{re.escape(name.removesuffix('.py'))}\b"
    assert re.search(command, about, re.MULTILINE)
    assert re.search(r"^(Paper\b|No row of the paper)", about, re.MULTILINE)
    assert re.search(r"^Obtained\b", about, re.MULTILINE)


# Table 3 at full scale.


def test_every_row_of_table_3_has_a_file():
    rows = "direct joint_vanilla joint_finetune maml_vanilla maml_finetune joint_explicit "
    rows += "joint_implicit joint_taskwise maml_explicit maml_implicit maml_taskwise joint_input"
    assert set(MUSTC) == set(rows.split())


@pytest.mark.parametrize("row", MUSTC)
def test_settings_are_those_of_table_8(row):
    for run in runs(MUSTC[row]).values():
        model, optimizer, decoding = run.model, run.optimizer, run.decoding
        assert (model.encoder_layers, model.decoder_layers) == (12, 12)
        assert (model.d_model, model.num_heads, model.d_ff) == (512, 8, 1024)
        assert (model.dropout, optimizer.label_smoothing) == (0.1, 0.1)
        assert len(model.cnn_channels) == 3
        assert (optimizer.learning_rate, optimizer.warmup_steps) == (2.0, 16_000)
        assert (optimizer.beta1, optimizer.beta2, optimizer.accumulate) == (0.9, 0.997, 1)
        assert (run.batching.unit, run.batching.size) == ("examples", 16 * 8)
        assert (run.batching.mixing, run.batching.alpha) == ("all_tasks", 0.0)
        assert (decoding.beam_size, decoding.length_penalty, decoding.extra_length) == (4, 0.6, 50)
        assert run.steps == (10_000 if row.endswith("finetune") else 600_000)
        assert model.scan


@pytest.mark.parametrize("row", MUSTC)
def test_rows_differ_in_strategy_and_conditioning_alone(row):
    strategy, _, kind = row.partition("_")
    for name, run in runs(MUSTC[row]).items():
        trained = [run.tasks[index].name for index in run.trained]
        assert trained == ([name] if name else ["st", "asr", "mt"])
        meta = strategy == "maml" and kind != "finetune"
        assert run.strategy == ("maml" if meta else "joint")
        told = {"explicit": "explicit", "implicit": "implicit", "taskwise": "implicit"}
        told["input"] = "implicit"
        assert run.model.conditioning == told.get(kind, "vanilla")
        assert run.model.injection == ("input" if kind == "input" else "film")
        assert (run.model.film, run.model.tcn) == (FiLMConfig(), TCNConfig())
        begins = f"runs/mustc/{strategy}_vanilla" if kind == "finetune" else None
        assert run.start_from == begins
        assert len(run.tasks) == (1 if row == "direct" else 3)
    selection = definitions(MUSTC[row]).get("selection", "single")
    assert words(MUSTC[row], "--select") == [selection]


def test_corpora_are_those_of_table_3():
    implicit = runs(MUSTC["joint_implicit"])[""]
    found = {task.name: (task.source, task.metric, *task.data) for task in implicit.tasks}
    assert found == {
        "st": ("speech", "bleu", "data/mustc/en-de"),
        "asr": ("speech", "wer", "data/tedlium3"),
        "mt": ("text", "bleu", "data/wmt"),
    }
    made = definitions(FOLDER / "mustc/base.py")["data"]
    assert set(made) == {"data/mustc/en-de", "data/tedlium3", "data/wmt", implicit.tokenizer}
    assert made[implicit.tokenizer].endswith(" --size 32000 --out {out}")


def parameters():
    """What tests/model/test_seq2seq.py counts, and the norm at the end of each stack."""
    encoder = 4 * (512 * 512 + 512) + 2 * 512 * 1024 + 1024 + 512 + 2 * 2 * 512
    decoder = encoder + 4 * (512 * 512 + 512) + 2 * 512
    cnn = (9 * 64 + 64) + 2 * (9 * 64 * 64 + 64) + 10 * 64 * 512 + 512
    return 12 * (encoder + decoder) + 32_000 * 512 + cnn + 2 * 2 * 512


def test_a_dry_run_names_the_missing_corpora_and_counts_the_paper_s_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = taskaware("train", MUSTC["joint_implicit"], "--out", "run", "--dry-run")
    message = refused(outcome)
    for folder in ("data/mustc/en-de", "data/tedlium3", "data/wmt"):
        assert f"data folder {folder}" in message
        assert re.search(
            rf"^ {{8}}taskaware prepare .* --out {folder}\b", outcome.out, re.MULTILINE
        )
    assert "12 + 12 layers, d_model 512, vocabulary 32,000 (assumed" in outcome.out
    count = parameters() + 988_544
    assert f"{count:,} parameters, 988,544 of the TCN" in outcome.out
    assert f"{12 * count + 8:,} bytes (0.90 GiB)" in outcome.out
    assert not list(tmp_path.iterdir())
    about = definitions(MUSTC["joint_implicit"])["__doc__"]
    assert f"\nDry run: {count:,} parameters, 988,544 of the TCN; 0.90 GiB" in about


@pytest.mark.parametrize("row", sorted(set(MUSTC) - {"joint_input", "direct"}))
def test_docstrings_tell_the_parameters_that_follow_from_the_conditioning(row):
    found = {run.model.conditioning for run in runs(MUSTC[row]).values()}
    (tcn,) = [{"vanilla": 0, "explicit": 3_072, "implicit": 988_544}[kind] for kind in found]
    about = definitions(MUSTC[row])["__doc__"]
    assert f"\nDry run: {parameters() + tcn:,} parameters" in about
