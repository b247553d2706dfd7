"""A small corpus of noise that has every kind of target, and an experiment on it."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from support.command_line import ENGLISH, GERMAN, tiny
from taskaware.config import Experiment, Task
from taskaware.config.heads import CTCConfig, FramesConfig, LabelConfig
from taskaware.data.corpora.base import Example
from taskaware.data.corpora.write import prepare
from taskaware.data.tokenizer import train_tokenizer
from taskaware.files.strict_json import to_json

MOODS = ("calm", "angry", "sad at heart")
SPLITS = {"train": range(8), "validation": range(8, 10), "test": range(10, 14)}


class Given(NamedTuple):
    folder: object
    experiment: object


def examples(numbers):
    """Two words each, of more than half a second; of the test split some labels are new."""
    for i in numbers:
        samples = np.random.default_rng(i).integers(-3000, 3000, 10_000 + 300 * i)
        words, others = ([w[i % 6], w[(5 * i + 1) % 6]] for w in (ENGLISH, GERMAN))
        labels = {
            "mood": MOODS[i % 3] if i != 12 else "unheard",
            "slots": "O B-number" if i % 2 else "B-number I-number",
            "phones": " ".join(words[0]),
            "sounds": f"hum 0 0.{1 + i % 2}, click 0.05 0.08" if i % 3 else "click 0.1 0.2",
            "age": str(20 + i / 4),
            "marked": f"B-number {words[0]} E-number {words[1]}",
            "who": "ann" if i % 2 else "bob",
        }
        texts = " ".join(words), " ".join(others)
        audio = samples.astype(np.int16)
        yield Example(f"u{i}", audio, labels["who"], *texts, "en", "de", "noise", labels)


def tasks(data):
    spoken = {"source": "speech", "data": data}
    written = {"source": "text", "data": data}
    return (
        Task(name="mood", target="label", column="mood", source_language="", **spoken),
        Task(name="asr", target="transcript", ctc_weight=0.25, **spoken),
        Task(name="slots", target="tags", column="slots", more_metrics=(), **written),
        Task(name="speller", target="transcript", head="ctc", **spoken),
        Task(name="phones", target="symbols", column="phones", **spoken),
        Task(name="meant", target="label", column="mood", more_metrics=("uar",), **written),
        Task(name="sounds", target="frames", column="sounds", more_metrics=("der",), **spoken),
        Task(name="mt", target="translation", weight=0.5, **written),
        Task(name="age", target="number", column="age", more_metrics=("ccc",), **spoken),
        Task(name="marked", target="text", column="marked", metric="slot_f1", **spoken),
        Task(name="named", target="label", column="mood", head="decoder", **written),
        Task(name="who", target="label", column="who", role="adversarial", **spoken),
    )


def experiment(folder) -> Experiment:
    base = tiny(folder)
    heads = (
        CTCConfig(rate=2),
        CTCConfig(name="phones", rate=2),
        LabelConfig(name="mood", pooling="attention"),
        FramesConfig(name="sounds", layer=1),
    )
    return replace(
        base,
        tasks=tasks((str(folder / "corpus"),)),
        model=replace(base.model, conditioning="explicit", encoder_layers=2, heads=heads),
    )


def get_ready(folder) -> Given:
    """Prepare the corpus, learn a vocabulary and write the experiment."""
    read = {name: [lambda n=numbers: examples(n)] for name, numbers in SPLITS.items()}
    prepare("noise", lambda: read, folder / "corpus")
    words = [*ENGLISH, *GERMAN, *MOODS, "B-number E-number unheard"]
    train_tokenizer([" ".join(words)], 50, folder / "tokenizer.model")
    path = folder / "all.json"
    path.write_text(to_json(experiment(folder)))
    return Given(folder, path)
