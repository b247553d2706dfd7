"""What is no configuration is refused in one line."""

import copy
import dataclasses
import functools
import json
import math
import operator
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.experiments import SECTIONS, UNUSUAL, VALID

from taskaware.config import (
    Batching,
    Decoding,
    Experiment,
    ModelConfig,
    OptimizerConfig,
    SpecAugment,
    Task,
)
from taskaware.errors import UsageError
from taskaware.files.strict_json import from_json, load, to_json


def mutant(valid, where, value):
    """An experiment's JSON with one place changed."""
    changed = copy.deepcopy(valid)
    *path, last = where
    functools.reduce(operator.getitem, path, changed)[last] = value
    return changed


def refusal(text, cls=Experiment):
    with pytest.raises(UsageError) as raised:
        from_json(cls, text, "e.json")
    message = str(raised.value)
    assert message.startswith("e.json")
    assert len(message.splitlines()) == 1
    return message


PREFIXED_SPEECH = VALID["tasks"][0] | {"source": "speech", "prefix": "to German"}

MUTANTS = [
    # A dotted place, the value that it gets, and the message, of which … leaves some out.
    ("stepz", 1, "e.json: unknown key 'stepz'…did you mean 'steps'?"),
    ("model.d_modle", 1, "e.json.model: unknown key 'd_modle'…did you mean 'd_model'?"),
    ("model.film.scal", "direct", "e.json.model.film: unknown key 'scal'…did you mean 'scale'?"),
    ("tasks.0.sources", "text", "e.json.tasks[0]: unknown key 'sources'…did you mean 'source'?"),
    ("optimizer.learning_rate", "1e-4", "e.json.optimizer.learning_rate: expected float…'1e-4'"),
    ("steps", 1e3, "e.json.steps: expected int, found 1000.0"),
    ("steps", True, "e.json.steps: expected int, found True"),
    (
        "optimizer.clip_norm",
        False,
        "e.json.optimizer.clip_norm: expected one of float, null, found False",
    ),
    ("model.scan", 1, "e.json.model.scan: expected bool, found 1"),
    ("tokenizer", None, "e.json.tokenizer: expected str, found None"),
    ("model", [], "e.json.model: expected an object, found []"),
    ("tasks", "mt", "e.json.tasks: expected a list, found 'mt'"),
    ("tasks.0.data", "corpus", "e.json.tasks[0].data: expected a list, found 'corpus'"),
    ("tasks.0.data", ["a", 3], "e.json.tasks[0].data[1]: expected str, found 3"),
    ("tasks", ["mt"], "e.json.tasks[0]: expected an object, found 'mt'"),
    ("tasks.0.source", "speach", "e.json.tasks[0].source: expected one of speech, text…'speech'?"),
    ("model.norm", "Pre", "e.json.model.norm: expected one of pre, post, found 'Pre'…"),
    ("model.norm", ["pre"], "e.json.model.norm: expected one of pre, post, found ['pre']…"),
    ("tasks", [], "e.json: Experiment.tasks: expected one or more distinct names, found ()"),
    ("tasks", VALID["tasks"] * 2, "e.json: Experiment.tasks: expected one or more distinct…mt…"),
    (
        "model.d_model",
        60,
        "e.json.model: …d_model: expected a multiple of num_heads, found 60",
    ),
    (
        "model",
        {"d_model": 7, "num_heads": 7},
        "e.json.model: …d_model: expected even…found 7",
    ),
    (
        "model.tcn.width",
        63,
        "e.json.model: …tcn: expected width % num_heads == 0…width=63…",
    ),
    ("model.dropout", 1, "e.json.model: …dropout: expected in [0, 1), found 1.0"),
    ("model.dropout", -0.1, "e.json.model: …dropout: expected in [0, 1), found -0.1"),
    ("model.dropout", math.nan, "e.json.model: …dropout: expected in [0, 1), found nan"),
    (
        "model.decoder_layers",
        0,
        "e.json.model: …decoder_layers: expected positive, found 0",
    ),
    (
        "model.film.kind",
        "mask",
        "e.json.model: …conditioning: expected explicit where film.kind is mask…'implicit'",
    ),
    (
        "model.film",
        {"kind": "mask", "sharing": "per_block_offset"},
        "e.json.model.film: FiLMConfig.sharing: expected without offsets…",
    ),
    ("model.film", {"adapter_width": 0}, "e.json.model.film: FiLMConfig.adapter_width: expected…"),
    ("model.film", {"open_share": 0}, "e.json.model.film: FiLMConfig.open_share: expected…"),
    ("frozen", True, "e.json: Experiment.frozen: expected start_from a run…"),
    ("tasks.0.max_examples", 0, "e.json.tasks[0]: Task.max_examples: expected positive, found 0"),
    (
        "tasks.0.vector_examples",
        -1,
        "e.json.tasks[0]: Task.vector_examples: expected positive, found -1",
    ),
    ("start_from", "", "e.json: Experiment.start_from: expected a run folder or None, found ''"),
    ("model.film.scale", "direct", "e.json.model.film: FiLMConfig.init: expected lecun when…"),
    ("batching.size", 0, "e.json.batching: Batching.size: expected positive, found 0"),
    ("batching.max_seconds", -1, "e.json.batching: Batching.max_seconds: expected positive…-1.0"),
    (
        "spec_augment",
        {"time_masks": -1},
        "e.json.spec_augment: SpecAugment.time_masks: expected 0…",
    ),
    ("optimizer.learning_rate", 0, "e.json.optimizer: …learning_rate: expected…0.0"),
    (
        "optimizer.label_smoothing",
        1,
        "e.json.optimizer: …label_smoothing: expected…1.0",
    ),
    ("decoding.beam_size", 0, "e.json.decoding: Decoding.beam_size: expected positive, found 0"),
    ("meta", {"inner_steps": 0}, "e.json.meta: Meta.inner_steps: expected positive, found 0"),
    ("meta", {"inner_learning_rate": -1}, "e.json.meta: Meta.inner_learning_rate: expected 0…"),
    ("meta", {"tasks": ["asr"]}, "e.json: unknown task 'asr'; expected one of mt…"),
    ("train_on", ["mtt"], "e.json: unknown task 'mtt'…did you mean 'mt'?"),
    ("tasks.0", PREFIXED_SPEECH, "e.json.tasks[0]: Task.prefix: expected none before speech…"),
    ("keep", 0, "e.json: Experiment.keep: expected positive, found 0"),
    (
        "steps",
        0,
        "e.json: Experiment.steps: expected positive, or 0 where start_from is set, found 0",
    ),
]


@pytest.mark.parametrize(("where", "value", "expected"), MUTANTS)
def test_a_mistake_is_one_line_that_names_its_place(where, value, expected):
    path = [int(key) if key.isdigit() else key for key in where.split(".")]
    message = refusal(json.dumps(mutant(VALID, path, value)))
    assert re.fullmatch(".*".join(map(re.escape, expected.split("…"))), message)


def test_the_experiment_of_the_mutants_is_valid():
    assert from_json(Experiment, json.dumps(VALID), "e.json").model.d_model == 64


@pytest.mark.parametrize(
    ("cls", "text", "place"),
    [
        (Experiment, '{"tasks": []}', "e.json: key 'tokenizer' is missing"),
        (Experiment, '{"tokenizer": "t"}', "e.json: key 'tasks' is missing"),
        (Task, '{"name": "a", "source": "text"}', "e.json: key 'target' is missing"),
        (ModelConfig, '{"d_ff": 1, "d_ff": 1}', "e.json: not valid JSON (key 'd_ff' stands twice)"),
        (
            ModelConfig,
            '{"film": {"init": "zero", "init": "zero"}}',
            "e.json: not valid JSON (key 'init'",
        ),
        (ModelConfig, "", "e.json: not valid JSON"),
        (ModelConfig, '{"d_ff": 1,}', "e.json: not valid JSON"),
        (ModelConfig, "{'d_ff': 1}", "e.json: not valid JSON"),
        (ModelConfig, '{"d_ff": 1} {}', "e.json: not valid JSON"),
        (ModelConfig, "d_ff: 1\nd_model: 2\n", "e.json: not valid JSON"),
        (ModelConfig, '\ufeff{"d_ff": 1}', "e.json: not valid JSON"),
        (ModelConfig, "[]", "e.json: expected an object, found []"),
        (ModelConfig, "null", "e.json: expected an object, found None"),
        (ModelConfig, '{"a\\nb": 1}', "e.json: unknown key 'a\\nb'"),
    ],
)
def test_a_text_that_is_no_configuration_is_refused_in_one_line(cls, text, place):
    assert refusal(text, cls).startswith(place)


@pytest.mark.parametrize(
    ("cls", "field"),
    [
        (ModelConfig, {"d_model": 0}),
        (ModelConfig, {"d_model": -8}),
        (ModelConfig, {"num_heads": 0}),
        (ModelConfig, {"tcn": {"num_heads": 0}}),
        (ModelConfig, {"tcn": {"width": 0}}),
        (ModelConfig, {"tcn": {"num_layers": 0}}),
        (Batching, {"alpha": math.nan}),
        (Batching, {"alpha": math.inf}),
        (SpecAugment, {"frequency_masks": -1}),
        (SpecAugment, {"frequency_width": 0}),
        (SpecAugment, {"time_width": 0}),
        (SpecAugment, {"time_share": 0.0}),
        (SpecAugment, {"time_share": 1.1}),
        (SpecAugment, {"time_share": math.nan}),
        (OptimizerConfig, {"beta1": 1.0}),
        (OptimizerConfig, {"beta2": -0.1}),
        (OptimizerConfig, {"epsilon": math.nan}),
        (OptimizerConfig, {"clip_norm": -1.0}),
        (OptimizerConfig, {"learning_rate": math.inf}),
        (Decoding, {"length_penalty": math.nan}),
        (Experiment, {"seed": -1}),
        (Experiment, {"mesh_data": 0}),
        (Experiment, {"mesh_data": -2}),
        (Experiment, {"validate_every": -1}),
        (Experiment, {"validate_every": 0}),
        (OptimizerConfig, {"clip_norm": 0.0}),
        (Experiment, {"max_skipped": 0}),
        (Task, {"name": "../st"}),
        (Task, {"name": ""}),
    ],
    ids=lambda value: str(getattr(value, "__name__", value)),
)
def test_a_value_that_no_run_can_use_is_refused_before_the_run(cls, field):
    needed = {Task: VALID["tasks"][0], Experiment: VALID}.get(cls, {})
    [(name, value)] = field.items()
    name = next(iter(value)) if isinstance(value, dict) else name
    assert f".{name}: expected" in refusal(json.dumps(needed | field), cls)


def test_a_number_too_large_for_a_float_is_refused():
    for digits in (400, 5000):
        assert refusal('{"dropout": 1' + "0" * digits + "}", ModelConfig).startswith("e.json")


def test_json_nested_without_end_is_refused():
    assert "not valid JSON" in refusal("[" * 100_000, ModelConfig)


@pytest.mark.parametrize("content", [None, b"\xff\xfe", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "e.json"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read the configuration") as raised:
        load(Experiment, path)
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value).splitlines()) == 1


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["speech", "text", "translation", "bleu", "pre", "direct", "lecun"])
)
names = st.text(max_size=4) | st.sampled_from(
    sorted({field.name for cls in SECTIONS for field in dataclasses.fields(cls)})
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def read_or_refuse(cls, text):
    """A configuration that can be written and read again, or one line; nothing else."""
    try:
        found = from_json(cls, text, "e.json")
    except UsageError as error:
        assert str(error).startswith("e.json")
        assert len(str(error).splitlines()) == 1
    else:
        assert isinstance(found, cls)
        assert from_json(cls, to_json(found), "e.json") == found
    return True


@given(st.sampled_from(SECTIONS), anything)
def test_any_json_is_read_or_refused_in_one_line(cls, value):
    assert read_or_refuse(cls, json.dumps(value))


@given(
    st.sampled_from([where for where in places(json.loads(to_json(UNUSUAL))) if where]), anything
)
@example(("model", "num_heads"), 0)
@example(("model", "tcn", "num_heads"), 0)
def test_any_value_at_any_place_is_read_or_refused_in_one_line(where, value):
    changed = mutant(json.loads(to_json(UNUSUAL)), where, value)
    assert read_or_refuse(Experiment, json.dumps(changed))


@given(st.text(alphabet='{}[]",:0123456789.eE-truefalsn \n\\ué\u2028', max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text):
    assert read_or_refuse(Batching, text)
