"""A process that computes every kind of compiled gradient: in float32, then again in float64.

The first process, in float32, writes the gradients as any user's program computes them. The second
one, under JAX_ENABLE_X64, computes the same in float64, reads the first one's, and writes how far
they are from its own, and its own from central differences. There ``jnp.float32`` was made
``jnp.float64`` before this module was imported, so that whatever asks for the one gets the other.
"""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from taskaware import Modulation, bind, graft
from taskaware.config import FiLMConfig, Meta, ModelConfig, TCNConfig
from taskaware.dims import EOS, MEL_CHANNELS, PAD, Rows, Speech, Text, Tokens
from taskaware.models.building import build
from taskaware.modulation import linen as taskaware_linen
from taskaware.nn.losses import smoothed_cross_entropy
from taskaware.training.joint import joint_loss
from taskaware.training.maml import maml_loss
from taskaware.training.objective import Objective

B, S, T, V, N = 48, 32, 32, 64, 3
KEY = jax.random.key(0)
TASKS = ("st", "asr", "mt")
TOKENS = (("<|a|>", "<|do|>"), ("<|b|>", "<|do|>"), ("<|b|>", "<|undo|>"))
DOUBLE = jax.config.jax_enable_x64
FLOAT = jnp.float64 if DOUBLE else jnp.float32
STEP = 1e-5


def batch(speech=False):
    """Three tasks' rows of random tokens, half of them padded; the first task's may be speech."""
    random = np.random.default_rng(0)
    source, target = random.integers(3, V, (2, B, S)).astype(np.int32)
    for row in range(B):
        for tokens in (source, target):
            end = random.integers(S // 2, S)
            tokens[row, end], tokens[row, end + 1 :] = EOS, PAD
    sources: list[Speech | Text] = [Text(jnp.asarray(tokens)) for tokens in np.split(source, N)]
    if speech:
        frames = random.normal(size=(B // N, 4 * S, MEL_CHANNELS)).astype(np.float32)
        length = random.integers(2 * S, 4 * S, B // N).astype(np.int32)
        sources[0] = Speech(jnp.asarray(frames, FLOAT), jnp.asarray(length))
    return {
        name: Rows(one, Tokens(jnp.asarray(tokens)), jnp.ones(B // N, bool))
        for name, one, tokens in zip(TASKS, sources, np.split(target, N), strict=True)
    }


def well_conditioned(params):
    """The same parameters in either precision, that keep every ReLU away from its kink.

    Where a ReLU's input is zero but for rounding, two right programs differ by a whole unit's
    share of the gradient. So what is added before each is far from zero: half of the units are
    open for every input, half are closed.
    """
    random = np.random.default_rng(1)

    def draw(path, leaf):
        name = "/".join(str(getattr(key, "key", getattr(key, "name", key))) for key in path)
        value = random.normal(size=leaf.shape)
        signs = np.where(np.arange(leaf.size) % 2, 1, -1).reshape(leaf.shape)
        if "up/bias" in name or ("convolutions" in name and name.endswith("bias")):
            value = 12 * signs
        elif name.endswith("scale"):
            value = 1 + 0.1 * value
        elif leaf.ndim == 1:
            value = 0.1 * value
        else:
            value = value * leaf.shape[-1 if "table" in name else 0] ** -0.5 / 2
        return jnp.asarray(value.astype(np.float32), FLOAT)

    return jax.tree_util.tree_map_with_path(draw, params)


def transformer(width, conditioning, *, speech=False, **changes):
    """A model of one block a side, as (graphdef, parameters)."""
    config = ModelConfig(
        d_model=width,
        num_heads=4,
        d_ff=2 * width,
        encoder_layers=1,
        decoder_layers=1,
        dropout=0.0,
        cnn_channels=(8, 8),
        conditioning=conditioning,
        tcn=TCNConfig(width=width, d_ff=2 * width),
    )
    config = dataclasses.replace(config, **changes, **({"dtype": "float64"} if DOUBLE else {}))
    m = build(config, V, TASKS, speech=speech, task_tokens=TOKENS, seed=0)
    graphdef, params = nnx.split(m)
    params = well_conditioned(params)
    if config.film.kind == "adapter":  # its hidden units' biases stand in the task embedding
        d, r = width, config.film.adapter_width
        kernel_NZ = params["tcn"]["kernel_NZ"][...]
        signs_R = jnp.where(jnp.arange(r) % 2, 12.0, -12.0).astype(kernel_NZ.dtype)
        kernel_NZ = kernel_NZ.at[:, : d * r].multiply(d**-0.5)
        params["tcn"]["kernel_NZ"][...] = kernel_NZ.at[:, d * r : (d + 1) * r].set(signs_R[None])
    return graphdef, params


def joint(width, conditioning, *, speech=False, **changes):
    graphdef, params = transformer(width, conditioning, speech=speech, **changes)
    rows = batch(speech)

    def loss(params):
        return joint_loss(nnx.merge(graphdef, params), rows, KEY, None, Objective(0.1))[0]

    return loss, params


def meta(width, conditioning, order, **changes):
    graphdef, params = transformer(width, conditioning, **changes)
    rows, rates = batch(), dict.fromkeys(TASKS, jnp.asarray(0.05, FLOAT))

    def loss(params):
        return maml_loss(graphdef, params, rows, KEY, rates, Objective(0.1), Meta(order=order))[0]

    return loss, params


class Block(nnx.Module):
    def __init__(self, width, rngs):
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.linear = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, x):
        return x + jnp.tanh(self.linear(self.norm(x)))


class Net(nnx.Module):
    def __init__(self, width):
        rngs = nnx.Rngs(0)
        self.embed = nnx.Embed(V, width, rngs=rngs)
        self.blocks = nnx.List([Block(width, rngs) for _ in range(2)])
        self.norm = nnx.LayerNorm(width, rngs=rngs)
        self.head = nnx.Linear(width, V, rngs=rngs)

    def __call__(self, tokens):
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class LinenBlock(linen.Module):
    @linen.compact
    def __call__(self, x):
        return x + jnp.tanh(linen.Dense(x.shape[-1])(linen.LayerNorm()(x)))


class LinenNet(linen.Module):
    width: int

    @linen.compact
    def __call__(self, tokens):
        x = linen.Embed(V, self.width)(tokens)
        for _ in range(2):
            x = LinenBlock()(x)
        return linen.Dense(V)(linen.LayerNorm()(x))


def modulated(width, kind):
    """A model of somebody else's, γ and β of each task grafted on, both learned."""
    rows = [batch()[name] for name in TASKS]
    source_BS, target_BT = (
        jnp.concatenate(parts)
        for parts in ([r.source[0] for r in rows], [r.target.tokens_BT for r in rows])
    )
    model: nnx.Module | linen.Module
    if kind == "nnx":
        model = graft(Net(width), where=r"blocks/\d+")
        graphdef, params = nnx.split(model)

        def call(params, modulation):
            return bind(nnx.merge(graphdef, params), modulation)(source_BS)
    else:
        model = taskaware_linen.graft(LinenNet(width), where=r"LinenBlock_\d+")
        params = model.init(KEY, source_BS)

        def call(params, modulation):
            return model.apply(params, source_BS, modulation=modulation)

    def loss(both):
        gamma_BD, beta_BD = (jnp.repeat(table_ND, B // N, axis=0) for table_ND in both["film"])
        logits_BTV = call(both["params"], Modulation(1 + gamma_BD, beta_BD))
        return smoothed_cross_entropy(logits_BTV, target_BT, 0.1).mean()

    tables = jnp.zeros((N, width)), jnp.zeros((N, width))
    return loss, well_conditioned({"params": params, "film": tables})


def cases(width):
    """Every kind of gradient, by name, as (loss, parameters)."""
    adapter = {"film": FiLMConfig(kind="adapter")}
    literal = {"norm": "post", "film": FiLMConfig(scale="direct", init="lecun")}
    kinds = {name: {} for name in ("vanilla", "tokens", "explicit", "implicit")}
    for name, changes in (kinds | {"adapters": adapter}).items():
        conditioning = "explicit" if name == "adapters" else name
        yield f"joint {name}", joint(width, conditioning, **changes)
        for order in ("first", "second"):
            yield f"{order} order {name}", meta(width, conditioning, order, **changes)
    yield "joint speech implicit", joint(width, "implicit", speech=True)
    yield "joint post-norm, direct", joint(width, "explicit", **literal)
    yield "joint scan and remat", joint(width, "implicit", scan=True, remat="full")
    yield "graft of an NNX model", modulated(width, "nnx")
    yield "graft of a Linen model", modulated(width, "linen")


def distance(found, expected):
    """The largest error of any parameter's gradient, of its own norm.

    A norm below a thousandth of the whole gradient's counts as that much: a key's bias has none.
    """
    whole = sum(float((leaf**2).sum()) for leaf in expected) ** 0.5
    return max(
        float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), 1e-3 * whole)
        for a, b in zip(found, expected, strict=True)
    )


def slope_error(value, params, gradient):
    """The error of a gradient, of its norm, by central differences in one direction.

    The direction is the gradient, but each parameter's part with a sign of its own.
    """
    leaves, structure = jax.tree.flatten(gradient)
    sign = np.random.default_rng(2).choice([-1.0, 1.0], len(leaves))
    norm = sum(float((leaf**2).sum()) for leaf in leaves) ** 0.5
    direction = [s * leaf / norm for s, leaf in zip(sign, leaves, strict=True)]
    expected = sum(float((d * leaf).sum()) for d, leaf in zip(direction, leaves, strict=True))
    way = jax.tree.unflatten(structure, direction)
    ahead, behind = (
        float(value(jax.tree.map(lambda p, d, h=h: p + h * d, params, way))) for h in (STEP, -STEP)
    )
    return abs((ahead - behind) / (2 * STEP) - expected) / norm


def control():
    """How wrong plain JAX's vmapped backward pass of h · Σh is here, of the gradient's norm.

    With jaxlib 0.10.2 it is wrong on some processors (jax-ml/jax#39103), for all cotangents but
    the first.
    """
    random = np.random.default_rng(0)
    h, c = (jnp.asarray(random.normal(size=(*n, B, T, 64)), FLOAT) for n in ((), (N,)))

    def backward(c, h):
        pull = jax.vjp(lambda h: h * h.sum(-1, keepdims=True), h)[1]
        return jax.vmap(lambda one: pull(one)[0])(c)

    expected = backward(c, h)
    return float(jnp.linalg.norm(jax.jit(backward)(c, h) - expected) / jnp.linalg.norm(expected))


def main(folder: str, width: int):
    place = Path(folder)
    report = {}
    for name, (loss, params) in cases(width):
        both = jax.jit(jax.value_and_grad(loss))
        gradient = both(params)[1]
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gradient)]
        assert {leaf.dtype for leaf in leaves} == {np.dtype(FLOAT)}, name
        path = place / f"{width} {name}.npz"
        if not DOUBLE:
            np.savez(path, *leaves)
            continue
        with np.load(path) as file:
            found = [file[key].astype(np.float64) for key in file.files]
        slope = None
        if not name.startswith("first"):  # that gradient is no loss's slope
            slope = slope_error(lambda p, f=both: f(p)[0], params, gradient)
        report[name] = {"float64": distance(found, leaves), "slope": slope}
        path.unlink()
    if not DOUBLE:
        report = control()
    (place / f"{width} {'float64' if DOUBLE else 'float32'}.json").write_text(json.dumps(report))
