"""Models nobody here wrote, from packages on PyPI, with random weights.

Each is the identity graft before training, and afterwards gives two tasks what each asks for from
the very same inputs. A model that is not told the task cannot: for targets +1 and -1 its squared
error is at least 1 whatever it has learned.
"""

import importlib
import importlib.metadata
import sys
import types

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from taskaware import ExplicitTCN, Modulator, bind, graft, sites_of
from taskaware.modulation import linen as taskaware_linen

TASK = jnp.array([0, 0, 1, 1])


def both_tasks(*arrays):
    """Rows for task 0, and the same rows for task 1."""
    return [jnp.concatenate([array, array]) for array in arrays]


def module_of(distribution, name):
    """A module of a package that may not be installed, without what its package imports besides.

    google-tunix's own __init__ wants its trainers' thirty dependencies; its models do not.
    """
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"needs {distribution}, which .ci/run installs (extra peers)")
    if distribution == "google-tunix" and "tunix" not in sys.modules:
        package = types.ModuleType("tunix")
        package.__path__ = [str(found.locate_file("tunix"))]
        sys.modules["tunix"] = package
    return importlib.import_module(name)


def nnx_model(model, where, args, *, output=None):
    """Return (run, state, places): what the tests need to know of a model."""
    graphdef, state = nnx.split(graft(model, where, output=output))

    def run(state, modulation):
        model = nnx.merge(graphdef, state)
        return (model if modulation is None else bind(model, modulation))(*args)

    return run, state, sites_of(nnx.merge(graphdef, state)), model(*args)


def linen_model(model, where, args):
    variables = model.init(jax.random.key(0), *args)
    grafted = taskaware_linen.graft(model, where)

    def run(variables, modulation):
        return grafted.apply(variables, *args, modulation=modulation)

    places = taskaware_linen.sites_of(grafted, variables)
    return run, variables, places, model.apply(variables, *args)


def unet():
    """A diffusion model's U-Net with attention: convolutions, a time embedding (NNX)."""
    velocity_field = module_of("ott-jax", "ott.neural.networks.velocity_field.unet")
    model = velocity_field.UNet(
        shape=(4, 4, 1),
        model_channels=32,
        num_res_blocks=1,
        attention_resolutions=(1,),
        channel_mult=(1,),
        rngs=nnx.Rngs(0),
    )
    args = both_tasks(jnp.array([0.1, 0.7]), jax.random.normal(jax.random.key(1), (2, 4, 4, 1)))
    return *nnx_model(model, r"(input|output)_blocks/\d+|middle_block", args), 32


def velocity():
    """A multi-layer perceptron that hands ``rngs`` through nnx.Sequential (NNX)."""
    velocity_field = module_of("ott-jax", "ott.neural.networks.velocity_field.mlp")
    model = velocity_field.MLP(3, hidden_dims=(16, 16), rngs=nnx.Rngs(0))
    args = both_tasks(jnp.array([0.1, 0.7]), jax.random.normal(jax.random.key(1), (2, 3)))
    return *nnx_model(model, r"blocks/layers/[01]", args), 16


def gemma():
    """A language model whose blocks return (cache, features) and rematerialize (NNX)."""
    model_file = module_of("google-tunix", "tunix.models.gemma.model")
    config = model_file.ModelConfig(
        num_layers=2,
        num_embed=11,
        embed_dim=16,
        hidden_dim=32,
        num_heads=2,
        head_dim=8,
        num_kv_heads=1,
        final_logit_softcap=None,
        use_post_attn_norm=False,
        use_post_ffw_norm=False,
        attention_types=(model_file.AttentionType.GLOBAL,) * 2,
        remat_config=model_file.RematConfig.DECODER,
    )
    model = model_file.Gemma(config, rngs=nnx.Rngs(0))
    tokens, positions = jnp.array([[1, 2, 3], [4, 5, 6]]), jnp.tile(jnp.arange(3), (2, 1))
    causal = jnp.tile(jnp.tril(jnp.ones((1, 3, 3), bool)), (2, 1, 1))
    tokens, positions, causal = both_tasks(tokens, positions, causal)
    args = (tokens, positions, None, causal)
    run, state, places, plain = nnx_model(model, r"layers/\d+", args, output=1)
    return lambda *given: run(*given)[0], state, places, plain[0], 16


def resnet():
    """A convolutional network with batch normalization (Linen)."""
    jax_resnet = module_of("jax-resnet", "jax_resnet")
    model = jax_resnet.ResNet18(n_classes=3, stage_sizes=[1, 1], hidden_sizes=(8, 8))
    args = both_tasks(jax.random.normal(jax.random.key(1), (2, 8, 8, 3)))
    return *linen_model(model, r"layers_[23]", args), 8


def potential():
    """A potential of optimal transport (Linen)."""
    potentials = module_of("ott-jax", "ott.neural.networks.potentials")
    model = potentials.PotentialMLP(dim_hidden=[16, 16], is_potential=False)
    args = both_tasks(jax.random.normal(jax.random.key(1), (2, 3)))
    return *linen_model(model, r"Dense_[01]", args), 16


@pytest.fixture(autouse=True)
def _their_house_their_rules():
    """ott-jax promotes ranks; google-tunix turns eager sharding off for the whole process."""
    before = flax.config.flax_always_shard_variable
    with jax.numpy_rank_promotion("allow"):
        yield
    flax.config.update("flax_always_shard_variable", before)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the peers' own
@pytest.mark.parametrize(
    "peer",
    [
        pytest.param(unet, marks=pytest.mark.long),
        velocity,
        pytest.param(gemma, marks=pytest.mark.variants),
        pytest.param(resnet, marks=pytest.mark.variants),
        potential,
    ],
)
def test_a_model_of_another_package_learns_two_tasks_from_the_same_inputs(peer):
    run, state, names, plain, width = peer()
    assert len(names) >= 2
    modulator = Modulator(width, {"model": len(names)})
    identity = modulator(jnp.zeros((len(TASK), 2 * width)))
    np.testing.assert_array_equal(run(state, None), plain)  # bit for bit, grafted
    np.testing.assert_array_equal(run(state, identity), plain)  # and bound

    tcn = ExplicitTCN(2, width, 2 * width, rngs=nnx.Rngs(0))
    target = (1.0 - 2 * TASK).reshape(-1, *[1] * (plain.ndim - 1))
    graphdef, table = nnx.split(tcn)
    learned, rest = split(state)
    optimizer = optax.adam(0.01)

    @jax.jit
    def step(learned, table, moments):
        def loss(learned, table):
            modulation = modulator(nnx.merge(graphdef, table)(TASK))
            return ((run(join(learned, rest), modulation) - target) ** 2).mean()

        value, grads = jax.value_and_grad(loss, argnums=(0, 1))(learned, table)
        updates, moments = optimizer.update(grads, moments)
        learned, table = optax.apply_updates((learned, table), updates)
        return learned, table, moments, value

    moments = optimizer.init((learned, table))
    for _ in range(150):
        learned, table, moments, value = step(learned, table, moments)
        if value < 0.2:
            break
    assert value < 0.2
    # An equal input and another task: another output.
    out = run(join(learned, rest), modulator(nnx.merge(graphdef, table)(TASK)))
    assert (out[:2] > 0).mean() > 0.9 and (out[2:] < 0).mean() > 0.9


def split(state):
    """Parameters, and what else a model holds (batch statistics, counters)."""
    if isinstance(state, nnx.State):
        return nnx.split_state(state, nnx.Param, ...)
    return {"params": state["params"]}, {k: v for k, v in state.items() if k != "params"}


def join(learned, rest):
    return nnx.merge_state(learned, rest) if isinstance(rest, nnx.State) else learned | rest
