"""Which head a task gets, who shares one, and what is refused."""

import itertools

import pytest
from support.command_line import taskaware

from taskaware.config import Experiment, ModelConfig, Task
from taskaware.config.heads import (
    CTCConfig,
    DecoderConfig,
    FramesConfig,
    LabelConfig,
    NumberConfig,
    TagsConfig,
)
from taskaware.config.wiring import (
    Inventory,
    ctc_of,
    head_of,
    inventories_by_task,
    require_heads_fit,
    wiring_of,
)
from taskaware.errors import UsageError
from taskaware.files.strict_json import from_json, to_json

NUMBERS = itertools.count()


def task(target, column="", **given):
    source = "speech" if target == "frames" else "text"
    return Task(
        **{"name": f"t{next(NUMBERS)}", "source": source, "target": target, "column": column}
        | given
    )


USUAL = {
    ("transcript", ""): DecoderConfig(),
    ("translation", ""): DecoderConfig(),
    ("text", "marked"): DecoderConfig(),
    ("label", "intent"): LabelConfig(name="intent"),
    ("tags", "slots"): TagsConfig(name="slots"),
    ("symbols", "phones"): CTCConfig(name="phones"),
    ("frames", "speech"): FramesConfig(name="speech"),
    ("number", "valence"): NumberConfig(name="valence"),
}


@pytest.mark.parametrize(("target", "head"), USUAL.items())
def test_each_target_has_a_usual_head_named_as_its_column(target, head):
    assert head_of(task(*target), ModelConfig()) == head


def test_a_head_of_the_model_takes_the_place_of_the_usual_one_of_its_name():
    heads = (DecoderConfig(layers=2), CTCConfig(rate=2), LabelConfig(name="intent", layer=1))
    model = ModelConfig(heads=heads)
    found = task("transcript"), task("transcript", head="ctc"), task("label", "intent")
    assert tuple(head_of(one, model) for one in found) == heads
    assert ctc_of(task("transcript", ctc_weight=0.5), model) == heads[1]
    assert ctc_of(task("transcript"), model) is None


def test_heads_stand_in_the_order_of_the_tasks_decoders_first_each_once():
    tasks = [
        task("label", "intent"),
        task("symbols", "phones"),
        task("translation"),
        task("label", "intent"),
        task("transcript", ctc_weight=0.5),
        task("number", "valence"),
        task("tags", "slots", head="decoder"),
        task("label", "speaker", role="adversarial"),
    ]
    inventories = {
        "intent": Inventory(values=("a", "b")),
        "phones": Inventory(values=("x", "y", "z")),
        "valence": Inventory(mean=2.0),
        "speaker": Inventory(values=("p",)),
    }
    found = wiring_of(tasks, ModelConfig(), inventories)
    names = ["decoder", "intent", "phones", "ctc", "valence", "speaker"]
    assert [head.name for head in found.heads] == names
    assert found.outputs == (None, 2, 6, None, 1, 1)  # symbols after padding, end and unknown
    of_tasks = ("intent", "phones", "decoder", "intent", "decoder", "valence", "decoder", "speaker")
    assert found.of_tasks == of_tasks
    assert found.adversarial == ("speaker",)
    by_task = inventories_by_task(tasks, ModelConfig(), inventories)
    assert by_task.keys() == {t.name for t in tasks if head_of(t, ModelConfig()).name != "decoder"}
    assert by_task[tasks[0].name] is by_task[tasks[3].name] is inventories["intent"]


def test_of_an_adversarial_decoder_the_ctc_head_beside_it_is_adversarial_too():
    tasks = task("transcript", ctc_weight=0.5, role="adversarial"), task("label", "intent")
    found = wiring_of(tasks, ModelConfig(), {"intent": Inventory(values=("a",))})
    assert found.adversarial == ("ctc", "decoder")


def test_an_inventory_that_is_missing_is_named_with_those_that_there_are():
    tasks, there = [task("label", "intent")], {"speaker": Inventory(values=("a",))}
    for call in (wiring_of, inventories_by_task):
        with pytest.raises(UsageError, match=r"'intent': expected an inventory.*those of speaker"):
            call(tasks, ModelConfig(), there)


REFUSED = {
    "a head that there is not": (
        [task("label", "emotion", head="emotoin")],
        (),
        "unknown head 'emotoin'; expected one of decoder, ctc, emotion; did you mean 'emotion'",
    ),
    "a head that no task names": (
        [task("label", "emotion")],
        (LabelConfig(name="mood"),),
        "no task has head 'mood'",
    ),
    "a head of another kind": (
        [task("label", "emotion", head="ctc")],
        (),
        "expected a head for target 'label', found 'ctc' of kind 'ctc'",
    ),
    "a decoder of numbers": ([task("number", "valence", head="decoder")], (), "found 'decoder'"),
    "two columns": (
        [task("label", "emotion", head="one"), task("label", "speaker", head="one")],
        (LabelConfig(name="one"),),
        "'one': expected tasks with the same column",
    ),
    "two kinds of one column": (
        [task("label", "speech"), task("frames", "speech")],
        (),
        "'speech': expected tasks with the same column of the same kind",
    ),
    "texts and symbols": (
        [task("transcript", head="ctc"), task("symbols", "phones", head="ctc")],
        (),
        "'ctc': expected tasks with the same column",
    ),
    "symbols and joint texts": (
        [task("symbols", "phones", head="ctc"), task("transcript", ctc_weight=0.5)],
        (),
        "'ctc': expected tasks with the same column",
    ),
    "joint texts and symbols": (
        [task("transcript", ctc_weight=0.5), task("symbols", "phones", head="ctc")],
        (),
        "'ctc': expected tasks with the same column",
    ),
    "labels named as the decoder": (
        [task("translation"), task("label", "decoder")],
        (),
        "'decoder': expected tasks with the same column",
    ),
    "joint CTC by a head of labels": (
        [task("transcript", ctc_weight=0.5), task("label", "ctc")],
        (LabelConfig(name="ctc"),),
        "found 'ctc' of kind 'label'",
    ),
    "a head named as the encoder": (
        [task("label", "encoder")],
        (),
        "'encoder': expected another name",
    ),
    "adversarial and main": (
        [task("label", "speaker"), task("label", "speaker", role="adversarial")],
        (),
        "'speaker': expected all of its tasks adversarial or none",
    ),
    "adversarial and main beside a decoder": (
        [task("transcript", ctc_weight=0.5), task("transcript", head="ctc", role="adversarial")],
        (),
        "'ctc': expected all of its tasks adversarial or none",
    ),
}


@pytest.mark.parametrize(("tasks", "heads", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_wired_is_one_line(tasks, heads, message):
    with pytest.raises(UsageError) as error:
        require_heads_fit(tasks, ModelConfig(heads=heads))
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"heads?[: ]|target"):
        Experiment(tasks=tuple(tasks), tokenizer="t", model=ModelConfig(heads=heads))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "label"}, "column: expected a column of labels"),
        ({"column": "x"}, "column: expected none"),
        ({"target": "tags", "column": "x", "source": "speech"}, "source: expected text"),
        ({"target": "frames", "column": "x"}, "source: expected speech"),
        ({"target": "label", "column": "x", "metric": "bleu"}, "metric: expected one of accuracy"),
        ({"target": "label", "column": "x", "more_metrics": ("der",)}, "more_metrics: expected"),
        ({"target": "label", "column": "x", "ctc_weight": 0.5}, "ctc_weight: expected 0"),
        ({"ctc_weight": 0.5, "head": "ctc"}, "ctc_weight: expected 0"),
        ({"ctc_weight": 1.5}, "ctc_weight: expected from 0 to 1"),
        ({"weight": -1.0}, "weight: expected 0 or more"),
        ({"reversal": float("nan")}, "reversal: expected 0 or more"),
        ({"source_language": ""}, "source_language: expected a language"),
    ],
)
def test_a_task_whose_fields_do_not_fit_its_target_is_refused(changes, message):
    with pytest.raises(UsageError) as error:
        Task(**{"name": "a", "source": "text", "target": "translation"} | changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ((LabelConfig(name="a", layer=3),), "a layer of head 'a' from 1 to encoder_layers"),
        ((LabelConfig(name="a"), TagsConfig(name="a")), "distinct names"),
    ],
)
def test_a_model_whose_heads_cannot_be_is_refused(heads, message):
    with pytest.raises(UsageError, match=message):
        ModelConfig(encoder_layers=2, heads=heads)


@pytest.mark.parametrize("changes", [{"rate": 0}, {"layer": 0}])
def test_a_head_of_no_output_or_no_layer_is_refused(changes):
    with pytest.raises(UsageError, match="positive"):
        CTCConfig(**changes)


SEVERAL = Experiment(
    tasks=(
        Task(name="asr", source="speech", target="transcript", ctc_weight=0.25, weight=2.0),
        Task(name="mood", source="speech", target="label", column="emotion", head="h"),
        Task(name="age", source="speech", target="number", column="age", role="auxiliary"),
        Task(
            name="who", source="speech", target="label", column="who", role="adversarial", head="d"
        ),
        Task(name="vad", source="speech", target="frames", column="v", more_metrics=("der",)),
    ),
    tokenizer="t",
    model=ModelConfig(
        heads=(
            CTCConfig(rate=2, layer=3),
            LabelConfig(name="h", pooling="attention"),
            NumberConfig(name="age", layer=2),
            DecoderConfig(name="decoder", layers=1),
            LabelConfig(name="d"),
            FramesConfig(name="v", layer=1),
        )
    ),
)


def test_an_experiment_of_several_heads_comes_back_from_json_as_it_was():
    assert from_json(Experiment, to_json(SEVERAL), "e.json") == SEVERAL


def test_a_kind_of_head_that_there_is_not_is_one_line_with_those_that_there_are():
    text = to_json(SEVERAL).replace('"number"', '"nubmer"', 1)
    assert text != to_json(SEVERAL)
    text = to_json(SEVERAL).replace('"kind": "ctc"', '"kind": "ctd"')
    with pytest.raises(UsageError) as error:
        from_json(Experiment, text, "e.json")
    assert "ctd" in str(error.value) and "\n" not in str(error.value)


def test_an_experiment_of_several_heads_has_a_command_line(tmp_path):
    path = tmp_path / "several.json"
    path.write_text(to_json(SEVERAL))
    said = taskaware("train", path, "--help")
    assert said.code == 0
    assert "--model.heads.1.pooling {mean,attention}" in said.out
    assert "--tasks.0.ctc-weight FLOAT" in said.out
    run = ["train", path, "--out", tmp_path / "run", "--dry-run"]
    said = taskaware(*run, "--model.heads.0.layer", 99)
    assert said.code == 2
    assert "a layer of head 'ctc' from 1 to encoder_layers" in " ".join(said.err.split())
    said = taskaware(*run, "--model.heads.1.poolin", "mean")
    assert "--model.heads.1.pooling {mean,attention}" in " ".join(said.err.split())
    said = taskaware(*run, "--model.heads.1.pooling", "mean", "--tasks.0.weight", 3)
    assert said.err.startswith("taskaware: ") and "missing task asr" in said.err  # it is read


@pytest.mark.parametrize("scale", [{"deviation": 0.0}, {"mean": float("inf")}])
def test_numbers_that_cannot_be_scaled_are_refused(scale):
    with pytest.raises(UsageError, match=f"Inventory.{next(iter(scale))}: expected"):
        Inventory(**scale)


def test_a_value_s_index_is_from_one_and_zero_where_training_has_not_seen_it():
    inventory = Inventory(values=("a", "c"))
    assert [inventory.index(value) for value in "abc"] == [1, 0, 2]
