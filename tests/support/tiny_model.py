"""A tiny model of every way to be told the task, and batches of random numbers for it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware.config import FiLMConfig, ModelConfig, TCNConfig
from taskaware.dims import EOS, PAD, Rows, Speech, Text, Tokens
from taskaware.models.building import build

SMALL = ModelConfig(
    d_model=16,
    num_heads=4,
    d_ff=32,
    encoder_layers=2,
    decoder_layers=2,
    cnn_channels=(4, 4, 4),
    dropout=0.0,
    tcn=TCNConfig(width=8, d_ff=16, num_heads=2),
    film=FiLMConfig(init="lecun"),
)
V = 11
TASKS = ("st", "mt", "asr")
TOKENS = (("<|de|>", "<|translate|>"), ("<|en|>", "<|transcribe|>"), ("<|ro|>", "<|translate|>"))
PREFIX = {"explicit_input": 1, "implicit_input": 1, "tokens": 2}
"""How many vectors stand before what the decoder reads."""
WAYS = ("vanilla", "explicit", "implicit", *PREFIX)


def model(way="implicit", **changes):
    """A model that is told the task in some way: its conditioning, and where that goes."""
    conditioning, _, injection = way.partition("_")
    config = dataclasses.replace(
        SMALL, conditioning=conditioning, injection=injection or "film", **changes
    )
    return nnx.clone(drawn(config))


@functools.cache
def drawn(config):
    return build(config, V, TASKS, speech=True, task_tokens=TOKENS, seed=0)


def batch(speech_rows=2, text_rows=2, frames=40, source=6, target=5, seed=0, names=("asr", "mt")):
    """Rows of a task of speech and of a task of text."""
    random = np.random.default_rng(seed)
    rows = speech_rows + text_rows
    length = random.integers(20, frames + 1, speech_rows)
    target_BT = random.integers(3, V, (rows, target))
    source_BS = random.integers(3, V, (text_rows, source))
    for row in range(rows):
        end = random.integers(2, target)
        target_BT[row, end], target_BT[row, end + 1 :] = EOS, PAD
    for row in range(text_rows):
        end = random.integers(2, source)
        source_BS[row, end], source_BS[row, end + 1 :] = EOS, PAD
    values = random.normal(size=(speech_rows, frames, 80)).astype(np.float32)
    made = {}
    if speech_rows:
        made[names[0]] = Rows(
            Speech(values, length.astype(np.int32)),
            Tokens(target_BT[:speech_rows].astype(np.int32)),
            np.ones(speech_rows, bool),
        )
    if text_rows:
        made[names[1]] = Rows(
            Text(source_BS.astype(np.int32)),
            Tokens(target_BT[speech_rows:].astype(np.int32)),
            np.ones(text_rows, bool),
        )
    return jax.tree.map(jnp.asarray, made)


def targets(batch):
    """Of all rows, those of speech first, as they are joined."""
    rows = sorted(batch.values(), key=lambda rows: isinstance(rows.source, Text))
    return jnp.concatenate([one.target.tokens_BT for one in rows])


@nnx.jit
def embed(m, batch):
    """A batch as the model reads it."""
    return m.embed(batch)


@nnx.jit
def vectors(m, batch):
    """Each row's own task vector."""
    return m.task_vector(m.embed(batch), m.task_of_rows(batch))


def logits(model, batch, vector_BZ=None, key=None):
    """A batch's scores; every row has its own task's embedding where none is given."""
    return compiled_logits(*nnx.split(model), batch, vector_BZ, key)


@functools.partial(jax.jit, static_argnums=0)
def compiled_logits(graphdef, params, batch, vector_BZ, key):
    model = nnx.merge(graphdef, params)
    embedded = model.embed(batch)
    if vector_BZ is None:
        vector_BZ = model.task_vector(embedded, model.task_of_rows(batch))
    return model(embedded, vector_BZ, key).logits_BTV


KINDS = {
    "film": FiLMConfig(sharing="per_block"),
    "adapter": FiLMConfig(kind="adapter", sharing="per_block", init="lecun", adapter_width=3),
    "mask": FiLMConfig(kind="mask", sharing="per_block", placement="residual_branch"),
}
