"""A tiny model that has a head of every kind, and batches of random numbers for its tasks."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware.config import FiLMConfig, ModelConfig, Task, TCNConfig
from taskaware.config.heads import CTCConfig, FramesConfig, LabelConfig
from taskaware.config.wiring import Inventory, head_of
from taskaware.dims import EOS, PAD, FrameLabels, Label, Number, Rows, Speech, Tags, Text, Tokens
from taskaware.models.building import build_for

V, FRAMES, S, T = 13, 64, 6, 5
TASKS = (
    Task(name="intent", source="speech", target="label", column="intent"),
    Task(name="asr", source="speech", target="transcript", ctc_weight=0.25),
    Task(name="slots", source="text", target="tags", column="slots"),
    Task(name="speller", source="speech", target="transcript", head="ctc"),
    Task(name="phones", source="speech", target="symbols", column="phones"),
    Task(name="meant", source="text", target="label", column="intent"),
    Task(name="vad", source="speech", target="frames", column="vad"),
    Task(name="mt", source="text", target="translation"),
    Task(name="age", source="text", target="number", column="age"),
    Task(name="who", source="speech", target="label", column="who", role="adversarial"),
)
"""Speech and text, and tasks of the same head, in no order."""
NAMES = tuple(task.name for task in TASKS)
INVENTORIES = {
    "intent": Inventory(values=("ask", "say", "tell")),
    "slots": Inventory(values=("B-who", "I-who", "O")),
    "phones": Inventory(values=tuple("aeiou")),
    "vad": Inventory(values=("noise", "speech")),
    "age": Inventory(mean=30.0, deviation=12.0),
    "who": Inventory(values=("anna", "ben")),
}
CONFIG = ModelConfig(
    d_model=16,
    num_heads=2,
    d_ff=16,
    encoder_layers=2,
    decoder_layers=1,
    cnn_channels=(2, 2, 2),
    dropout=0.0,
    heads=(
        CTCConfig(name="phones", rate=2),
        LabelConfig(name="intent", pooling="attention"),
        FramesConfig(name="vad", layer=1),
    ),
    tcn=TCNConfig(width=8, d_ff=8, num_heads=2),
    film=FiLMConfig(init="lecun"),
)


def tasks_named(*names):
    return tuple(task for task in TASKS if task.name in names)


def model(conditioning="vanilla", names=NAMES, **changes):
    """A fresh model of some of the tasks; its numbers are drawn once."""
    config = dataclasses.replace(CONFIG, conditioning=conditioning, **changes)
    return nnx.clone(_drawn(config, names))


@functools.cache
def _drawn(config, names):
    used = [head_of(task, config).name for task in tasks_named(*names)]
    config = dataclasses.replace(config, heads=tuple(h for h in config.heads if h.name in used))
    return build_for(tasks_named(*names), config, V, INVENTORIES, seed=0)


def batch(rows=2, seed=0, names=NAMES):
    """Rows of some of the tasks; two each, so that each can only have the other's task vector."""
    random = np.random.default_rng(seed)
    made = {task.name: _rows(task, rows, random) for task in TASKS}
    return jax.tree.map(jnp.asarray, {name: made[name] for name in names})


def _rows(task, rows, random):
    source, length = Text(_tokens(random, rows, S, V)), np.zeros(rows, np.int32)
    if task.source == "speech":
        length = random.integers(FRAMES // 2, FRAMES + 1, rows).astype(np.int32)
        source = Speech(random.normal(size=(rows, FRAMES, 80)).astype(np.float32), length)
    values = len(INVENTORIES.get(task.column, Inventory()).values)
    target = Tokens(_tokens(random, rows, T, V))
    match task.target:
        case "label":
            target = Label(random.integers(1, values + 1, rows).astype(np.int32))
        case "tags":
            tag_BS = random.integers(1, values + 1, (rows, S)).astype(np.int32)
            judged_BS = random.integers(0, 2, (rows, S)) | (np.arange(S) == 0)
            target = Tags(tag_BS * judged_BS.astype(np.int32))
        case "symbols":
            target = Tokens(_tokens(random, rows, T, 3 + values))
        case "frames":
            target = FrameLabels(random.integers(0, 2, (rows, FRAMES, values)) > 0, length)
        case "number":
            target = Number(random.normal(size=rows).astype(np.float32))
    return Rows(source, target, np.ones(rows, bool))


def _tokens(random, rows, width, vocab_size):
    tokens = random.integers(3, vocab_size, (rows, width)).astype(np.int32)
    for row in range(rows):
        end = random.integers(2, width)
        tokens[row, end], tokens[row, end + 1 :] = EOS, PAD
    return tokens


def counting(b, names):
    """The batch with the rows of some tasks alone to be judged."""
    return {
        name: rows._replace(counts_B=rows.counts_B & (name in names)) for name, rows in b.items()
    }
