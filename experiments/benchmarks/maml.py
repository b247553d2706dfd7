"""What a step of meta learning costs, as a ratio to a joint step on the same rows.

    python experiments/benchmarks/maml.py [implicit | explicit | vanilla]

The small model of Table 3 on random batches of the shapes of its data: 16 rows per task, for meta
learning 16 of support and 16 of query. Each figure is the median of ten ratios; joint and meta
steps take turns, so that a busy machine slows both. In theory a first-order step is 2 joint ones
(two forward and backward passes), a second-order one 4.

Obtained (implicit, two CPU cores, 2026-11-21): first order 1.62, second order 3.45 joint steps.
"""

import statistics
import sys
import time
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from flax import nnx

from taskaware.config import Meta, OptimizerConfig, small_model
from taskaware.dims import Batch, Rows, Speech, Text, Tokens
from taskaware.models.building import build
from taskaware.training.compiling import compiler_options
from taskaware.training.joint import Step, joint_step
from taskaware.training.maml import maml_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import TrainState, initial_state

TASKS = ("st", "asr", "mt")
VOCABULARY, FRAMES, SOURCE, TARGET, ROWS, ROUNDS = 800, 256, 20, 20, 16, 10


def main(conditioning: str) -> None:
    """Print the ratios, and XLA's own figure of temporary memory."""
    model = build(
        replace(small_model(), conditioning=conditioning), VOCABULARY, TASKS, speech=True, seed=0
    )
    optimizer = make_optimizer(OptimizerConfig(), model.config.d_model)
    graphdef = nnx.graphdef(model)
    joint = joint_step(graphdef, optimizer, Objective(0.1))
    rates = dict.fromkeys(TASKS, 0.05)
    orders = {
        f"{order} order": maml_step(graphdef, optimizer, Objective(0.1), rates, Meta(order=order))
        for order in ("first", "second")
    }
    steps = {"joint": (joint, batch(ROWS))} | {
        name: (step, batch(2 * ROWS)) for name, step in orders.items()
    }
    state = initial_state(nnx.state(model), optimizer, 0)
    seconds = in_turns({name: (step, state, rows) for name, (step, rows) in steps.items()})
    for name in orders:
        print(f"{name} / joint: {ratio(seconds[name], seconds['joint']):.2f}")
    print(f"joint: {1000 * statistics.median(seconds['joint']):.0f} ms")


def in_turns(steps: dict[str, tuple[Step, TrainState, Any]]) -> dict[str, list[float]]:
    """Compile the steps, time them in turns, and return the seconds of each."""
    compiled = {}
    for name, (step, state, rows) in steps.items():
        since = time.perf_counter()
        compiled[name] = (
            jax.jit(step, compiler_options=compiler_options()).lower(state, rows).compile()
        )
        memory = compiled[name].memory_analysis().temp_size_in_bytes / 2**20
        took = time.perf_counter() - since
        print(f"{name}: compiled in {took:.0f} s, {memory:.0f} MiB of temporaries", flush=True)
        jax.block_until_ready(compiled[name](state, rows))
    seconds = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, (_, state, rows) in steps.items():
            since = time.perf_counter()
            jax.block_until_ready(compiled[name](state, rows))
            seconds[name].append(time.perf_counter() - since)
    return seconds


def ratio(one: list[float], other: list[float]) -> float:
    """Return the median of ratios, each of two steps that followed one another."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def batch(rows: int) -> Batch:
    """Return random rows of two speech tasks and a text task."""
    random = np.random.default_rng(0)
    frames = random.normal(size=(2 * rows, FRAMES, 80)).astype(np.float32)
    source_BS, target_BT = (
        random.integers(3, VOCABULARY, shape).astype(np.int32)
        for shape in ((rows, SOURCE), (3 * rows, TARGET))
    )
    length_B, counts_B = np.full(rows, FRAMES, np.int32), np.ones(rows, bool)
    sources = [*(Speech(part, length_B) for part in np.split(frames, 2)), Text(source_BS)]
    return {
        name: Rows(source, Tokens(tokens), counts_B)
        for name, source, tokens in zip(TASKS, sources, np.split(target_BT, 3), strict=True)
    }


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["implicit"])
