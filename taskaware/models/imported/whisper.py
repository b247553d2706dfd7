"""OpenAI's Whisper as a Flax NNX model, its weights read from the files of ``transformers``.

Provided as a base model for ``modulation.graft``: a TCN is trained, Whisper stays frozen. Modules
and parameters are named as in ``transformers``, so weights are matched by name.

Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision";
transformers, models/whisper/modeling_whisper.py.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from taskaware.errors import UsageError
from taskaware.files.strict_json import load_object
from taskaware.files.tensors import read_tensors, tensor_files
from taskaware.nn.layers import KeysValues, OneKey, attend, causal_mask

_EPSILON = 1e-5
"""PyTorch's default for LayerNorm."""


class WhisperConfig(NamedTuple):
    """The model's sizes, by their names in ``config.json`` of ``transformers``."""

    d_model: int
    vocab_size: int
    num_mel_bins: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    decoder_layers: int
    decoder_attention_heads: int
    decoder_ffn_dim: int
    max_source_positions: int
    max_target_positions: int


class Attention(nnx.Module):
    """Multi-head attention whose keys have no bias."""

    def __init__(self, d_model: int, num_heads: int, *, rngs: nnx.Rngs):
        self.num_heads = num_heads
        self.q_proj = nnx.Linear(d_model, d_model, rngs=rngs)
        self.k_proj = nnx.Linear(d_model, d_model, use_bias=False, rngs=rngs)
        self.v_proj = nnx.Linear(d_model, d_model, rngs=rngs)
        self.out_proj = nnx.Linear(d_model, d_model, rngs=rngs)

    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        memory_BSD: Float[Array, "B S D"],
        mask_BTS: Bool[Array | np.ndarray, "#B #T S"],
    ) -> Float[Array, "B T D"]:
        """Return what each position of x gathers from the memory."""
        q, k, v = (
            project(of).reshape(*of.shape[:2], self.num_heads, -1)
            for project, of in (
                (self.q_proj, x_BTD),
                (self.k_proj, memory_BSD),
                (self.v_proj, memory_BSD),
            )
        )
        memory = KeysValues(k.transpose(0, 2, 3, 1), v.transpose(0, 2, 1, 3))
        return self.out_proj(attend(q, memory, mask_BTS).reshape(x_BTD.shape))


class Layer(nnx.Module):
    """A pre-norm block: self-attention, cross-attention in the decoder, feed-forward."""

    def __init__(self, d_model: int, num_heads: int, d_ff: int, *, cross: bool, rngs: nnx.Rngs):
        self.self_attn = Attention(d_model, num_heads, rngs=rngs)
        self.self_attn_layer_norm = nnx.LayerNorm(d_model, epsilon=_EPSILON, rngs=rngs)
        if cross:
            self.encoder_attn = Attention(d_model, num_heads, rngs=rngs)
            self.encoder_attn_layer_norm = nnx.LayerNorm(d_model, epsilon=_EPSILON, rngs=rngs)
        self.fc1 = nnx.Linear(d_model, d_ff, rngs=rngs)
        self.fc2 = nnx.Linear(d_ff, d_model, rngs=rngs)
        self.final_layer_norm = nnx.LayerNorm(d_model, epsilon=_EPSILON, rngs=rngs)

    def __call__(
        self,
        x_BTD: Float[Array, "B T D"],
        mask: Bool[np.ndarray, "1 T T"],
        memory_BSD: Float[Array, "B S D"] | None = None,
    ) -> Float[Array, "B T D"]:
        """Return new positions; a decoder's layer also takes the encoder's output."""
        h = self.self_attn_layer_norm(x_BTD)
        x_BTD = x_BTD + self.self_attn(h, h, mask)
        if memory_BSD is not None:
            h = self.encoder_attn_layer_norm(x_BTD)
            x_BTD = x_BTD + self.encoder_attn(
                h, memory_BSD, np.ones((1, 1, memory_BSD.shape[1]), bool)
            )
        h = jax.nn.gelu(self.fc1(self.final_layer_norm(x_BTD)), approximate=False)
        return x_BTD + self.fc2(h)


class Encoder(nnx.Module):
    """Two convolutions, fixed positions, layers, a norm."""

    def __init__(self, c: WhisperConfig, *, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(c.num_mel_bins, c.d_model, (3,), padding=1, rngs=rngs)
        self.conv2 = nnx.Conv(c.d_model, c.d_model, (3,), strides=2, padding=1, rngs=rngs)
        self.embed_positions = nnx.Embed(c.max_source_positions, c.d_model, rngs=rngs)
        shape = c.d_model, c.encoder_attention_heads, c.encoder_ffn_dim
        self.layers = nnx.List(
            [Layer(*shape, cross=False, rngs=rngs) for _ in range(c.encoder_layers)]
        )
        self.layer_norm = nnx.LayerNorm(c.d_model, epsilon=_EPSILON, rngs=rngs)

    def __call__(self, frames_BAC: Float[Array, "B A C"]) -> Float[Array, "B S D"]:
        """Return one position per two frames; more frames than the model takes are a UsageError."""
        _require_frames(
            frames_BAC.shape, self.conv1.in_features, 2 * self.embed_positions.num_embeddings
        )
        x_BSD = jax.nn.gelu(self.conv1(frames_BAC), approximate=False)
        x_BSD = jax.nn.gelu(self.conv2(x_BSD), approximate=False)
        length = x_BSD.shape[1]
        x_BSD = x_BSD + self.embed_positions(jnp.arange(length))[None]
        for layer in self.layers:
            x_BSD = layer(x_BSD, np.ones((1, length, length), bool))
        return self.layer_norm(x_BSD)


class Decoder(nnx.Module):
    """Token and position embeddings, layers, a norm, and scores by the token embeddings' table."""

    def __init__(self, c: WhisperConfig, *, rngs: nnx.Rngs):
        self.embed_tokens = nnx.Embed(c.vocab_size, c.d_model, rngs=rngs)
        self.embed_positions = nnx.Embed(c.max_target_positions, c.d_model, rngs=rngs)
        shape = c.d_model, c.decoder_attention_heads, c.decoder_ffn_dim
        self.layers = nnx.List(
            [Layer(*shape, cross=True, rngs=rngs) for _ in range(c.decoder_layers)]
        )
        self.layer_norm = nnx.LayerNorm(c.d_model, epsilon=_EPSILON, rngs=rngs)

    def __call__(
        self, tokens_BT: Int[Array, "B T"], memory_BSD: Float[Array, "B S D"]
    ) -> Float[Array, "B T V"]:
        """Return the scores of the next token at each position.

        Raises:
            UsageError: there are more tokens than positions or other rows than in the memory; or,
                where ids can be read (not inside ``jit``), some are not in the vocabulary.
        """
        most, shape = self.embed_positions.num_embeddings, tokens_BT.shape
        if len(shape) != 2 or shape[0] != len(memory_BSD) or shape[1] > most:
            raise UsageError(
                f"Whisper: expected tokens ({len(memory_BSD)}, at most {most}), found {shape}"
            )
        if not isinstance(tokens_BT, Tracer):
            _require_ids(np.asarray(tokens_BT), self.embed_tokens.num_embeddings)
        length = tokens_BT.shape[1]
        y_BTD = self.embed_tokens(tokens_BT) + self.embed_positions(jnp.arange(length))[None]
        for layer in self.layers:
            y_BTD = layer(y_BTD, causal_mask(length), memory_BSD)
        return self.embed_tokens.attend(self.layer_norm(y_BTD))


class Whisper(nnx.Module):
    r"""The whole model, from 30 s of log-mel frames and the tokens so far to the next token.

    Its blocks are ``encoder/layers/N`` and ``decoder/layers/N``: ``graft(model,
    where=r"(encoder|decoder)/layers/\d+")``.
    """

    def __init__(self, config: WhisperConfig, *, rngs: nnx.Rngs):
        self.encoder = Encoder(config, rngs=rngs)
        self.decoder = Decoder(config, rngs=rngs)

    def __call__(
        self, frames_BAC: Float[Array, "B A C"], tokens_BT: Int[Array, "B T"]
    ) -> Float[Array, "B T V"]:
        """Return the scores of the next token at each position.

        Args:
            frames_BAC: from Whisper's own feature extractor, which pads speech with silence to
                2 · max_source_positions frames (30 s), as in its training. Fewer are used as they
                are. The model has no padding mask, and zeros are not silence to it.
            tokens_BT: from Whisper's own tokenizer, from ``<|startoftranscript|>`` on, at most
                max_target_positions. Tokens after a row's end do not change the scores before.

        Raises:
            UsageError: more frames or tokens than it has positions, another number of channels,
                channels before frames, or token ids outside the vocabulary.
        """
        return self.decoder(tokens_BT, self.encoder(frames_BAC))


def load_whisper(folder: str | Path) -> Whisper:
    """Load a Whisper from a local folder, in float32.

    Args:
        folder: holds ``config.json`` and ``model.safetensors``, or its shards with their index, in
            float32, float16 or bfloat16, as ``WhisperForConditionalGeneration`` or
            ``WhisperModel`` saves them.

    Raises:
        UsageError: it is not a Whisper of ``transformers``, its tensors are not the model's, or
            the output layer has a table of its own.
    """
    folder = Path(folder)
    config = _read_config(folder / "config.json")
    files = tensor_files(folder)
    layers = config.encoder_layers + config.decoder_layers
    if layers > len(files):
        raise UsageError(f"{folder}: expected the tensors of {layers} layers, found {len(files)}")
    graphdef, params = nnx.split(nnx.eval_shape(lambda: Whisper(config, rngs=OneKey())))
    flat = nnx.to_flat_state(params)
    # WhisperForConditionalGeneration holds a WhisperModel as "model".
    prefix = "model." if any(name.startswith("model.") for name in files) else ""
    name_of = {path: prefix + _torch_name(path) for path, _ in flat}
    shapes = {name_of[path]: _transposed(path, leaf.shape) for path, leaf in flat}
    table, scores = f"{prefix}decoder.embed_tokens.weight", "proj_out.weight"
    if scores in files:
        shapes[scores] = shapes[table]
    values = read_tensors(files, shapes, folder, dtypes=("F32", "F16", "BF16"))
    if scores in files and not np.array_equal(values[scores], values[table]):
        raise UsageError(
            f"{files[scores]}: expected {scores!r} to be {table!r} again, found other numbers: a "
            "Whisper whose scores have a table of their own cannot be loaded"
        )
    loaded = [
        (path, leaf.replace(jnp.asarray(values[name_of[path]].transpose(*_axes(path)))))
        for path, leaf in flat
    ]
    return nnx.merge(graphdef, nnx.from_flat_state(loaded))


def _read_config(path: Path) -> WhisperConfig:
    sizes = load_object(path)
    fixed = {"model_type": "whisper", "activation_function": "gelu", "scale_embedding": False}
    for name, expected in fixed.items():
        value = sizes.get(name, expected)
        if value != expected:
            raise UsageError(f"{path}: expected {name} {expected!r}, found {value!r}")
    for name in WhisperConfig._fields:
        value = sizes.get(name)
        if type(value) is not int or not 0 < value < 2**24:
            raise UsageError(f"{path}: expected a size for {name}, found {value!r}")
    config = WhisperConfig(*(sizes[name] for name in WhisperConfig._fields))
    for heads in (config.encoder_attention_heads, config.decoder_attention_heads):
        if config.d_model % heads:
            raise UsageError(
                f"{path}: expected attention heads that divide d_model {config.d_model}, "
                f"found {heads}"
            )
    return config


def _require_frames(shape: tuple[int, ...], channels: int, most: int) -> None:
    if len(shape) == 3 and 0 < shape[1] <= most and shape[2] == channels:
        return
    swapped = len(shape) == 3 and shape[1] == channels != shape[2]
    advice = "; the channels stand first: swap the last two axes" if swapped else ""
    raise UsageError(
        f"Whisper: expected frames (B, 1 to {most}, {channels}), found {shape}{advice}"
    )


def _require_ids(tokens_BT: Int[np.ndarray, "B T"], vocab_size: int) -> None:
    if tokens_BT.size and not (0 <= tokens_BT.min() and tokens_BT.max() < vocab_size):
        raise UsageError(
            f"Whisper: expected token ids from 0 to {vocab_size - 1}, found {tokens_BT.min()} to "
            f"{tokens_BT.max()}; are they of this model's tokenizer?"
        )


def _torch_name(path: tuple[Any, ...]) -> str:
    leaf = "bias" if path[-1] == "bias" else "weight"
    return ".".join(map(str, (*path[:-1], leaf)))


def _axes(path: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the order in which PyTorch's axes are stored here: features last."""
    if path[-1] != "kernel":
        return (0,) if path[-1] in ("bias", "scale") else (0, 1)
    return (2, 1, 0) if "conv" in str(path[-2]) else (1, 0)


def _transposed(path: tuple[Any, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[axis] for axis in np.argsort(_axes(path)))
