import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.arrays import normal

from taskaware import Modulation
from taskaware.config import FiLMConfig, ModelConfig
from taskaware.models.blocks import DecoderBlock, EncoderBlock

KEY = jax.random.key(0)
SMALL = {"d_model": 16, "num_heads": 4, "d_ff": 32, "dropout": 0.0}


def numbers(module):
    return jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module)))


def config(norm="pre", placement="block_output"):
    return ModelConfig(**SMALL, norm=norm, film=FiLMConfig(placement=placement))


def copy_linear(torch, peer, weights):
    with torch.no_grad():
        peer.weight.copy_(torch.tensor(weights["kernel"].T))
        peer.bias.copy_(torch.tensor(weights["bias"]))


def copy_norm(torch, peer, weights):
    with torch.no_grad():
        peer.weight.copy_(torch.tensor(weights["scale"]))
        peer.bias.copy_(torch.tensor(weights["bias"]))


def copy_attention(torch, peer, weights):
    with torch.no_grad():
        kernels = [weights[name]["kernel"].T for name in ("query", "key", "value")]
        biases = [weights[name]["bias"] for name in ("query", "key", "value")]
        peer.in_proj_weight.copy_(torch.tensor(np.concatenate(kernels)))
        peer.in_proj_bias.copy_(torch.tensor(np.concatenate(biases)))
    copy_linear(torch, peer.out_proj, weights["out"])


def randomize(module):
    """Give norms and biases numbers too, so that a swapped one would show."""
    graphdef, state = nnx.split(module)
    leaves, tree = jax.tree.flatten(state)
    keys = jax.random.split(KEY, len(leaves))
    noisy = [x + 0.1 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return nnx.merge(graphdef, jax.tree.unflatten(tree, noisy))


@pytest.mark.peers
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_an_encoder_block_equals_torch_with_the_same_weights(norm):
    torch = pytest.importorskip("torch", reason="needs the extra peers")
    block = randomize(EncoderBlock(config(norm), rngs=nnx.Rngs(0)))
    peer = torch.nn.TransformerEncoderLayer(
        16, 4, 32, dropout=0.0, layer_norm_eps=1e-6, batch_first=True, norm_first=norm == "pre"
    ).train()
    weights = numbers(block)
    copy_attention(torch, peer.self_attn, weights["attention"])
    copy_linear(torch, peer.linear1, weights["feed_forward"]["up"])
    copy_linear(torch, peer.linear2, weights["feed_forward"]["down"])
    copy_norm(torch, peer.norm1, weights["add_attention"]["norm"])
    copy_norm(torch, peer.norm2, weights["add_feed_forward"]["norm"])
    x, mask = normal(2, 5, 16), np.array([[True] * 5, [True] * 3 + [False] * 2])
    expected = peer(torch.tensor(np.asarray(x)), src_key_padding_mask=torch.tensor(~mask))
    found = block(x, None, None, jnp.asarray(mask))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.peers
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_block_equals_torch_with_the_same_weights(norm):
    torch = pytest.importorskip("torch", reason="needs the extra peers")
    block = randomize(DecoderBlock(config(norm), rngs=nnx.Rngs(0)))
    peer = torch.nn.TransformerDecoderLayer(
        16, 4, 32, dropout=0.0, layer_norm_eps=1e-6, batch_first=True, norm_first=norm == "pre"
    ).train()
    weights = numbers(block)
    copy_attention(torch, peer.self_attn, weights["self_attention"])
    copy_attention(torch, peer.multihead_attn, weights["cross_attention"])
    copy_linear(torch, peer.linear1, weights["feed_forward"]["up"])
    copy_linear(torch, peer.linear2, weights["feed_forward"]["down"])
    copy_norm(torch, peer.norm1, weights["add_self"]["norm"])
    copy_norm(torch, peer.norm2, weights["add_cross"]["norm"])
    copy_norm(torch, peer.norm3, weights["add_feed_forward"]["norm"])
    y, memory = normal(2, 4, 16), normal(2, 5, 16)
    mask = np.array([[True] * 5, [True] * 3 + [False] * 2])
    expected = peer(
        torch.tensor(np.asarray(y)),
        torch.tensor(np.asarray(memory)),
        tgt_mask=torch.triu(torch.ones(4, 4, dtype=torch.bool), diagonal=1),
        memory_key_padding_mask=torch.tensor(~mask),
    )
    found = block(y, None, None, memory, jnp.asarray(mask))
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-4)


def test_block_output_modulates_the_whole_output_residual_included():
    block = EncoderBlock(config(), rngs=nnx.Rngs(0))
    x, mask, gamma, beta = normal(2, 5, 16), jnp.ones((2, 5), bool), normal(2, 16), normal(2, 16)
    plain = block(x, None, None, mask)
    found = block(x, Modulation(gamma, beta), None, mask)
    np.testing.assert_allclose(found, gamma[:, None] * plain + beta[:, None], rtol=1e-5, atol=1e-5)


def test_residual_branches_of_gamma_zero_leave_the_stream_and_beta_a_branch():
    block = EncoderBlock(config(placement="residual_branch"), rngs=nnx.Rngs(0))
    x, mask, beta = normal(2, 5, 16), jnp.ones((2, 5), bool), normal(2, 16)
    found = block(x, Modulation(jnp.zeros((2, 16)), beta), None, mask)
    # Two branches, each reduced to β.
    np.testing.assert_allclose(found, x + 2 * beta[:, None], rtol=1e-5, atol=1e-5)


def test_norm_placement_is_an_affine_change_of_the_norms_own_scale_and_bias():
    modulated = randomize(EncoderBlock(config(placement="norm"), rngs=nnx.Rngs(0)))
    x, mask, gamma, beta = normal(1, 5, 16), jnp.ones((1, 5), bool), normal(1, 16), normal(1, 16)
    found = modulated(x, Modulation(gamma, beta), None, mask)
    for residual in (modulated.add_attention, modulated.add_feed_forward):
        norm = residual.norm
        norm.bias[...] = gamma[0] * norm.bias[...] + beta[0]
        norm.scale[...] = gamma[0] * norm.scale[...]
    expected = modulated(x, None, None, mask)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("placement", ["block_output", "residual_branch", "norm"])
def test_gamma_one_and_beta_zero_are_no_modulation_bit_for_bit(norm, placement):
    x, mask = normal(2, 5, 16), jnp.ones((2, 5), bool)
    identity = Modulation(jnp.ones((2, 16)), jnp.zeros((2, 16)))
    encoder = EncoderBlock(config(norm, placement), rngs=nnx.Rngs(0))
    decoder = DecoderBlock(config(norm, placement), rngs=nnx.Rngs(0))
    for block, context in ((encoder, (mask,)), (decoder, (x, mask))):
        found, plain = block(x, identity, None, *context), block(x, None, None, *context)
        assert np.array_equal(found, plain)


def test_sharing_one_direct_gamma_compounds_in_pre_norm_and_not_in_post_norm():
    """Why the letter of eq. 6-7 goes with post-norm blocks (D2): γ^L."""
    mask, x = jnp.ones((1, 5), bool), normal(1, 5, 16)
    gamma = Modulation(jnp.full((1, 16), 1.5), jnp.zeros((1, 16)))
    rms = {}
    for norm in ("pre", "post"):
        stream = x
        for layer in range(24):
            block = EncoderBlock(config(norm), rngs=nnx.Rngs(layer))
            stream = block(stream, gamma, None, mask)
        rms[norm] = float(jnp.sqrt((stream**2).mean()))
    assert rms["pre"] > 1.5**24 / 4
    assert rms["post"] == pytest.approx(1.5, rel=0.01)
