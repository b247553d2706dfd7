"""A small model to be shared, and a way to forge its digests."""

import dataclasses
import hashlib
import json

import numpy as np

from support.command_line import ENGLISH, GERMAN
from taskaware.config import Decoding, ModelConfig, Task, TCNConfig
from taskaware.data.tokenizer import Tokenizer, train_tokenizer
from taskaware.models.building import build_for
from taskaware.pretrained.model import Pretrained, digest
from taskaware.pretrained.vectors import TaskVector, TaskVectors

TASKS = (
    Task(name="st", source="speech", target="translation", metric="bleu", data=("/home/me/x",)),
    Task(name="mt", source="text", target="translation", metric="bleu"),
)
MODEL = ModelConfig(
    d_model=8,
    num_heads=2,
    d_ff=8,
    encoder_layers=1,
    decoder_layers=2,
    cnn_channels=(2,),
    tcn=TCNConfig(width=8, d_ff=8, num_heads=2),
)


def random_model(folder, **changes):
    """A model that has learned nothing, with everything that a learned one has."""
    words = [" ".join(ENGLISH[i:] + GERMAN[:i]) for i in range(6)]
    train_tokenizer(words, 40, folder / "words.model")
    tokenizer = Tokenizer.load(folder / "words.model")
    config = dataclasses.replace(MODEL, **changes)
    model = build_for(TASKS, config, tokenizer.size, seed=3)
    vectors = None
    if config.conditioning != "vanilla":
        random = np.random.default_rng(0)
        vectors = TaskVectors(
            model=digest(model),
            vectors=tuple(
                TaskVector(
                    name=task.name,
                    vector=tuple(
                        random.normal(size=model.vector_width).astype(np.float32).tolist()
                    ),
                    examples=("u1", "u2"),
                )
                for task in TASKS
            ),
        )
    return Pretrained(
        model, TASKS, tokenizer, vectors, Decoding(beam_size=1, extra_length=2), "# A card\n"
    )


def sign(folder):
    """Make the digests agree, as who means harm would."""
    config = json.loads((folder / "config.json").read_text())
    for name, file in (
        ("weights", "model.safetensors"),
        ("tokenizer", "tokenizer.model"),
        ("task_vectors", "task_vectors.json"),
    ):
        config[f"{name}_sha256"] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
    (folder / "config.json").write_text(json.dumps(config))
