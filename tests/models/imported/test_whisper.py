"""Whisper from files that transformers wrote: its logits, and a TCN trained on it, frozen."""

import copy
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from taskaware import ExplicitTCN, Modulator, bind, graft, sites_of
from taskaware.errors import UsageError
from taskaware.models.imported.whisper import load_whisper

SHAPE = {
    "d_model": 16,
    "vocab_size": 50,
    "num_mel_bins": 8,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 24,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "max_source_positions": 6,
    "max_target_positions": 10,
}
BLOCKS = r"(encoder|decoder)/layers/\d+"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A random model of transformers, all its numbers drawn anew, and where it has saved itself."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3}
    model = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig(**SHAPE, **tokens)
    ).eval()
    with torch.no_grad():  # biases of 0 and scales of 1 would hide a wrong name
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    folder = tmp_path_factory.mktemp("whisper")
    model.save_pretrained(folder)
    return model, folder


@pytest.fixture(scope="module")
def whisper(checkpoint):
    return load_whisper(checkpoint[1])


@pytest.fixture(scope="module")
def inputs():
    random = np.random.default_rng(0)
    frames = random.normal(size=(2, 12, 8)).astype(np.float32)
    return frames, random.integers(4, 50, (2, 7)).astype(np.int32)


pytestmark = pytest.mark.peers


def test_logits_are_those_of_transformers(checkpoint, inputs):
    import torch

    model, folder = checkpoint
    frames, tokens = inputs
    with torch.no_grad():
        expected = model(
            input_features=torch.tensor(frames).transpose(1, 2),
            decoder_input_ids=torch.tensor(tokens, dtype=torch.long),
        ).logits.numpy()
    found = load_whisper(folder)(jnp.asarray(frames), jnp.asarray(tokens))
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_half_precision_files_are_read_into_float32(checkpoint, tmp_path):
    _, folder = checkpoint
    tensors = load_file(folder / "model.safetensors")
    halves = {name: value.astype(np.float16) for name, value in tensors.items()}
    save_file(halves, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    for leaf in jax.tree.leaves(nnx.state(load_whisper(tmp_path))):
        assert leaf.dtype == jnp.float32
    kernel = load_whisper(tmp_path).decoder.layers[0].fc1.kernel[...]
    half = halves["model.decoder.layers.0.fc1.weight"]
    np.testing.assert_array_equal(kernel, half.astype(np.float32).T)


def equal(found, expected):
    """Whether two models are the same, bit for bit."""
    leaves = zip(*(jax.tree.leaves(nnx.state(m)) for m in (found, expected)), strict=True)
    return nnx.graphdef(found) == nnx.graphdef(expected) and all(
        np.array_equal(a, b) for a, b in leaves
    )


def test_a_bfloat16_checkpoint_is_read_as_it_was_stored(checkpoint, tmp_path):
    import torch

    model = copy.deepcopy(checkpoint[0]).to(torch.bfloat16)
    model.save_pretrained(tmp_path)
    found = load_whisper(tmp_path)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(found))} == {np.dtype("float32")}
    expected = model.model.decoder.layers[0].fc1.weight.detach().float().numpy().T
    np.testing.assert_array_equal(found.decoder.layers[0].fc1.kernel[...], expected)
    assert (expected != checkpoint[0].model.decoder.layers[0].fc1.weight.detach().numpy().T).any()


def test_shards_are_read_as_one_file(checkpoint, tmp_path):
    checkpoint[0].save_pretrained(tmp_path, max_shard_size="20KB")
    assert len([*tmp_path.glob("model-*-of-*.safetensors")]) > 1
    assert not (tmp_path / "model.safetensors").exists()
    assert equal(load_whisper(tmp_path), load_whisper(checkpoint[1]))


def test_a_whisper_without_a_head_has_no_prefix(checkpoint, tmp_path):
    checkpoint[0].model.save_pretrained(tmp_path)
    assert "decoder.embed_tokens.weight" in load_file(tmp_path / "model.safetensors")
    assert equal(load_whisper(tmp_path), load_whisper(checkpoint[1]))


def test_a_table_of_scores_of_its_own_is_refused_and_the_same_one_again_is_not(
    checkpoint, tmp_path
):
    _, folder = checkpoint
    tensors = load_file(folder / "model.safetensors")
    table = tensors["model.decoder.embed_tokens.weight"]
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file(tensors | {"proj_out.weight": table.copy()}, tmp_path / "model.safetensors")
    assert equal(load_whisper(tmp_path), load_whisper(folder))
    save_file(tensors | {"proj_out.weight": table * 1.001}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"'proj_out.weight' to be .*found other numbers"):
        load_whisper(tmp_path)


@pytest.mark.parametrize(
    ("frames", "tokens", "message"),
    [
        ((1, 12, 8), np.zeros((1, 11), np.int32), r"tokens \(1, at most 10\), found \(1, 11\)"),
        ((1, 13, 8), np.zeros((1, 7), np.int32), r"\(B, 1 to 12, 8\), found \(1, 13, 8\)"),
        ((1, 0, 8), np.zeros((1, 7), np.int32), r"\(B, 1 to 12, 8\), found \(1, 0, 8\)"),
        ((1, 8, 12), np.zeros((1, 7), np.int32), r"found \(1, 8, 12\); the channels stand first"),
        ((1, 12, 7), np.zeros((1, 7), np.int32), r"\(B, 1 to 12, 8\), found \(1, 12, 7\)"),
        ((1, 12, 8), np.full((1, 7), 50, np.int32), "ids from 0 to 49, found 50 to 50"),
        ((1, 12, 8), np.full((1, 7), -1, np.int32), "ids from 0 to 49, found -1 to -1"),
    ],
)
def test_what_whisper_has_no_positions_channels_or_tokens_for_is_refused(
    frames, tokens, message, whisper
):
    with pytest.raises(UsageError, match=message):
        whisper(jnp.ones(frames), jnp.asarray(tokens))
    if "ids" not in message:
        with pytest.raises(UsageError, match=message):
            jax.jit(whisper)(jnp.ones(frames), jnp.asarray(tokens))


def test_as_many_tokens_and_frames_as_there_are_positions_are_scored(whisper):
    for frames in (12, 5):
        logits = jax.jit(whisper)(jnp.ones((1, frames, 8)), jnp.ones((1, 10), jnp.int32))
        assert np.isfinite(logits).all()


def test_a_tcn_learns_two_tasks_from_the_same_input_on_a_frozen_whisper(checkpoint, inputs):
    # Who does not know the task scores the same rows alike, so one token wins in both.
    whisper, (frames, tokens) = load_whisper(checkpoint[1]), map(jnp.asarray, inputs)
    frozen = graft(whisper, where=BLOCKS)
    assert sites_of(frozen) == ["decoder/layers/0", "encoder/layers/0", "encoder/layers/1"]
    frames, tokens = (jnp.concatenate([x, x]) for x in (frames, tokens))
    found, expected = (jax.jit(model)(frames, tokens) for model in (frozen, whisper))
    np.testing.assert_array_equal(found, expected)
    task = jnp.array([0, 0, 1, 1])
    target = jnp.broadcast_to(jnp.array([5, 5, 9, 9])[:, None], tokens.shape)
    tcn, modulator = ExplicitTCN(2, 16, 32, rngs=nnx.Rngs(0)), Modulator(16, {"model": 3})
    graphdef, weights = nnx.split(frozen)
    tcn_def, learned = nnx.split(tcn)
    adam = optax.adam(0.1)

    def scores(learned):
        modulation = modulator(nnx.merge(tcn_def, learned)(task))
        return bind(nnx.merge(graphdef, weights), modulation)(frames, tokens)

    def loss(learned):
        losses = optax.softmax_cross_entropy_with_integer_labels(scores(learned), target)
        return losses.mean()

    @jax.jit
    def step(learned, state):
        updates, state = adam.update(jax.grad(loss)(learned), state)
        return optax.apply_updates(learned, updates), state

    state = adam.init(learned)
    for _ in range(40):
        learned, state = step(learned, state)
    logits = np.asarray(jax.jit(scores)(learned))
    first_wins = logits[..., 5] > logits[..., 9]
    np.testing.assert_array_equal(first_wins, np.broadcast_to((task == 0)[:, None], tokens.shape))


# Files that are not what they say.


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("config.json", {"model_type": "bart"}, "expected model_type 'whisper', found 'bart'"),
        ("config.json", {"scale_embedding": True}, "expected scale_embedding False, found True"),
        ("config.json", {"activation_function": "relu"}, "activation_function 'gelu'"),
        ("config.json", {"d_model": "16"}, "expected a size for d_model, found '16'"),
        ("config.json", {"encoder_attention_heads": 3}, "heads that divide d_model 16, found 3"),
        ("config.json", {"encoder_layers": 10**6}, "tensors of 1000001 layers, found"),
        ("config.json", {"encoder_layers": 3}, "missing tensor 'model.encoder.layers.2"),
        ("config.json", {"vocab_size": 51}, r"embed_tokens.weight': expected \(\(51, 16\)"),
        ("model.safetensors", {"../../x": np.zeros(1, np.float32)}, r"unexpected tensor '\.\./"),
        (
            "model.safetensors",
            {"model.decoder.layer_norm.bias": np.full(16, np.nan, np.float32)},
            "finite",
        ),
        ("model.safetensors", {"model.decoder.layer_norm.bias": np.zeros(16)}, "'F64'"),
    ],
)
def test_what_is_no_whisper_is_refused_in_one_line(checkpoint, tmp_path, file, change, message):
    _, folder = checkpoint
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    (config if file == "config.json" else tensors).update(change)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=message) as refusal:
        load_whisper(tmp_path)
    assert "\n" not in str(refusal.value)
