"""What comes back from JSON, and the defaults."""

import dataclasses
import json

import pytest
from support.experiments import SECTIONS, UNUSUAL

from taskaware.config import (
    Batching,
    Decoding,
    Experiment,
    ModelConfig,
    OptimizerConfig,
    SpecAugment,
    Task,
    paper_model,
)
from taskaware.errors import UsageError
from taskaware.files.strict_json import from_json, load, to_json


def unchanged(config, default):
    """Fields, also of fields, that have the default's value."""
    for field in dataclasses.fields(config):
        value, usual = getattr(config, field.name), getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            yield from unchanged(value, usual)
        elif value == usual:
            yield f"{type(config).__name__}.{field.name}"


def test_an_experiment_comes_back_from_json_as_it_was():
    bare = Task(name="bare", source="text", target="transcript", metric="wer")
    assert not list(unchanged(UNUSUAL, Experiment(tasks=(bare,), tokenizer="")))
    assert list(unchanged(UNUSUAL.tasks[0], bare)) == [
        "Task.ctc_weight",  # of texts alone
        "Task.prefix",  # of text sources alone
    ]
    assert from_json(Experiment, to_json(UNUSUAL), "e.json") == UNUSUAL


@pytest.mark.parametrize("cls", [*SECTIONS[1:-1]])
def test_a_section_comes_back_from_json_as_it_was_and_what_is_left_out_has_its_default(cls):
    assert from_json(cls, to_json(cls()), "e.json") == from_json(cls, "{}", "e.json") == cls()


def test_json_holds_every_field_by_its_name():
    found = json.loads(to_json(UNUSUAL))
    assert found["tasks"][0] == {
        "name": "übersetzen",
        "source": "speech",
        "target": "label",
        "column": "intent",
        "head": "kind",
        "ctc_weight": 0.0,
        "metric": "uar",
        "more_metrics": ["accuracy"],
        "weight": 0.5,
        "role": "adversarial",
        "reversal": 0.25,
        "source_language": "de",
        "target_language": "tr",
        "data": ["a b", "c"],
        "prefix": "",
        "max_examples": 9,
        "vector_examples": 7,
    }
    assert found["model"]["film"]["sharing"] == "per_stack"
    assert found["model"]["heads"] == [
        {"kind": "label", "name": "kind", "pooling": "attention", "layer": 1}
    ]
    assert found["optimizer"]["epsilon"] == 1e-8
    assert set(found) == {field.name for field in dataclasses.fields(Experiment)}


def test_a_handwritten_file_is_read(tmp_path):
    path = tmp_path / "e.json"
    path.write_text(
        '{"tasks": [{"name": "ü", "source": "text", "target": "transcript", "metric": "wer",'
        ' "data": ["a", "b"]}], "tokenizer": "t", "optimizer": {"learning_rate": 2},'
        ' "model": {"dropout": 0, "scan": true}, "mesh_data": 2}',
        encoding="utf-8",
    )
    assert load(Experiment, path) == Experiment(
        tasks=(Task(name="ü", source="text", target="transcript", metric="wer", data=("a", "b")),),
        tokenizer="t",
        optimizer=OptimizerConfig(learning_rate=2.0),
        model=ModelConfig(dropout=0.0, scan=True),
        mesh_data=2,
    )


def test_a_whole_number_is_read_as_the_float_that_a_field_expects():
    found = from_json(OptimizerConfig, '{"learning_rate": 2}', "e.json").learning_rate
    assert type(found) is float


@pytest.mark.parametrize("cls", SECTIONS)
def test_no_choice_can_be_changed_afterwards(cls):
    assert cls.__dataclass_params__.frozen


def test_an_unknown_task_is_refused_with_the_nearest():
    assert UNUSUAL.task("mt") is UNUSUAL.tasks[1]
    with pytest.raises(UsageError, match=r"unknown task 'mtt'.*übersetzen, mt; did you mean 'mt'"):
        UNUSUAL.task("mtt")


def test_a_transcript_is_in_the_source_language_and_a_translation_in_the_target_language():
    languages = {"source_language": "tr", "target_language": "ro"}
    heard = Task(name="asr", source="speech", target="transcript", metric="wer", **languages)
    translated = Task(name="mt", source="text", target="translation", metric="bleu", **languages)
    assert (heard.output_language, translated.output_language) == ("tr", "ro")


@pytest.mark.parametrize(
    ("target", "languages", "usual"),
    [
        ("translation", ("zh", "th"), "bleu"),
        ("translation", ("en", "de"), "bleu"),
        ("transcript", ("en", "zh"), "wer"),
        ("transcript", ("zh-CN", "en"), "cer"),
    ],
)
def test_a_task_has_the_usual_metric_of_its_target_unless_it_names_one(target, languages, usual):
    source, translated = languages
    task = Task(
        name="t",
        source="speech",
        target=target,
        source_language=source,
        target_language=translated,
    )
    assert (task.metric, task.metric_name) == (None, usual)
    assert dataclasses.replace(task, metric="cer").metric_name == "cer"
    assert from_json(Task, to_json(task), "e.json") == task


def test_the_defaults_are_the_papers_table_8_multi_modality():
    model = ModelConfig()
    assert (model.d_model, model.num_heads, model.d_ff) == (512, 8, 1024)
    assert (model.encoder_layers, model.decoder_layers, model.dropout) == (12, 12, 0.1)
    assert len(model.cnn_channels) == 3
    optimizer = OptimizerConfig()
    assert (optimizer.beta1, optimizer.beta2, optimizer.label_smoothing) == (0.9, 0.997, 0.1)
    assert (optimizer.learning_rate, optimizer.warmup_steps) == (2.0, 16000)
    batching = Batching()
    assert (batching.unit, batching.size) == ("examples", 16)
    assert Experiment(tasks=UNUSUAL.tasks[1:], tokenizer="t").steps == 600_000


def test_the_defaults_that_table_8_leaves_out_are_those_of_the_code_whose_names_it_lists():
    decoding = Decoding()
    assert (decoding.beam_size, decoding.length_penalty, decoding.extra_length) == (4, 0.6, 50)
    assert (OptimizerConfig().epsilon, Batching().max_tokens) == (1e-9, 256)


def test_the_papers_model_is_table_8_with_the_letter_of_equations_6_and_7():
    paper = paper_model()
    assert paper.film.placement == "block_output"  # eq. 7: γ * f_l + β, f_l the whole block
    assert paper.film.scale == "direct"  # eq. 6: γ = t_e[:d]
    assert paper.film.sharing == "all_blocks"  # eq. 6: t_e has no index l
    assert paper.norm == "post"
    plain = dataclasses.replace(paper, norm=ModelConfig().norm, film=ModelConfig().film)
    assert plain == ModelConfig()


def test_the_papers_model_takes_changes():
    small = paper_model(d_model=64, conditioning="explicit")
    assert (small.d_model, small.conditioning, small.norm) == (64, "explicit", "post")
    assert small.film == paper_model().film


def test_masks_are_off_by_default_and_as_wide_as_those_of_the_policy_ss():
    """Park et al. 2019, Table 1: F 27, T 70, p 0.2."""
    masks = SpecAugment()
    assert not masks.is_on
    assert (masks.frequency_width, masks.time_width, masks.time_share) == (27, 70, 0.2)
    assert SpecAugment(frequency_masks=1).is_on
