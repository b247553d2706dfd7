"""A small net, its grafts, and a twin that calls the same layers with ``film`` between them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware import Modulation, bind, film, graft

B, T, D, L = 2, 3, 4, 3
KEY = jax.random.key(0)
X = jax.random.normal(KEY, (B, T, D))


def modulation(seed, *lead):
    gamma, beta = 0.3 * jax.random.normal(jax.random.key(seed), (2, *lead, B, D))
    return Modulation(1 + gamma, beta)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


IDENTITY = Modulation(jnp.ones((B, D)), jnp.zeros((B, D)))
TWO = [modulation(1), modulation(2)]


class Block(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        return x + jnp.tanh(self.linear(x))


class JitBlock(Block):
    @nnx.jit
    def __call__(self, x):
        return x + jnp.tanh(self.linear(x))


class Net(nnx.Module):
    """A loop over blocks; what runs a block is what the variants below differ in."""

    def __init__(self, run=lambda block, x: block(x), block=Block, seed=0):
        rngs = nnx.Rngs(seed)
        self.run = run
        self.blocks = nnx.List([block(rngs) for _ in range(L)])
        self.head = nnx.Linear(D, D, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = self.run(block, x)
        return self.head(x)


class Stack(nnx.Module):
    """The same blocks as one stack of parameters."""

    def __init__(self, in_axes, seed=0):
        rngs = nnx.Rngs(seed)
        blocks = nnx.List([Block(rngs) for _ in range(L)])
        graphdef = nnx.graphdef(blocks[0])
        states = [nnx.state(block) for block in blocks]
        self.blocks = nnx.merge(graphdef, jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
        self.head = nnx.Linear(D, D, rngs=rngs)
        self.in_axes = in_axes

    def __call__(self, x):
        run = nnx.scan(
            lambda block, x: block(x), in_axes=(self.in_axes, nnx.Carry), out_axes=nnx.Carry
        )
        return self.head(run(self.blocks, x))


def twin(x, modulations, seed=0):
    """``Net`` with FiLM written into it after every block."""
    net = Net(seed=seed)
    for block, own in zip(net.blocks, modulations, strict=True):
        x = film(block(x), *own)
    return net.head(x)


run_jit = nnx.jit(lambda block, x: block(x))
run_remat = nnx.remat(lambda block, x: block(x))
run_both = nnx.remat(lambda block, x: run_jit(block, x))
LOOPS = {
    "plain": lambda: Net(),
    "a block that compiles itself": lambda: Net(block=JitBlock),
    "an inner nnx.jit": lambda: Net(run_jit),
    "nnx.remat": lambda: Net(run_remat),
    "nnx.jit in nnx.remat": lambda: Net(run_both),
    "jax.checkpoint": lambda: Net(lambda block, x: jax.checkpoint(block)(x)),
    "jax.jit of a split": lambda: Net(run_split),
}


@functools.partial(jax.jit, static_argnums=0)
def call_split(graphdef, params, x):
    return nnx.merge(graphdef, params)(x)


def run_split(block, x):
    return call_split(*nnx.split(block, nnx.Param), x)  # raises if there is more than Params


STACKS = {
    "a scan": lambda: Stack(0),
    "a scan that names Param": lambda: Stack(nnx.StateAxes({nnx.Param: 0, ...: None})),
}


def grafted(name):
    if name in STACKS:
        return graft(STACKS[name](), where="blocks", stacked="blocks")
    return graft(LOOPS[name](), where=r"blocks/\d+")


def split_call(model, own, x):
    graphdef, state = nnx.split(model)
    return jax.jit(lambda state, own, x: bind(nnx.merge(graphdef, state), own)(x))(state, own, x)


CALLS = {
    "eager": lambda model, own, x: bind(model, own)(x),
    "nnx.jit": nnx.jit(lambda model, own, x: bind(model, own)(x)),
    "bound outside nnx.jit": lambda model, own, x: run_jit(bind(model, own), x),
    "jax.jit": split_call,
}
