"""Cost of input per training step: batches made while it runs, beside batches made in advance.

    python experiments/benchmarks/feeding.py experiments/table3/joint_implicit.py [--size small]

Takes the data and the batching of an experiment, whose corpora are prepared, and features computed
on the fly. "Lost" is the share of a step's time that it would not need with its batches in memory:
the device's wait, and on a CPU the time that threads preparing batches take from it (goal: 2 %).
The throughput of the pipeline alone is printed beside what the step needs. Both sides take turns.

Obtained (small, two cores of an Intel Xeon, 2026-11-29): 1.9 % lost of a step of 1,076 ms; input
alone makes 1,215 examples/s, and a step needs 45.
"""

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
from flax import nnx
from peers import SIZES, own_config

from taskaware.config.file import load_experiment
from taskaware.data.batches import training_batches
from taskaware.dims import Batch
from taskaware.runs.folder import Run
from taskaware.training.compiling import jit_step
from taskaware.training.joint import joint_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import initial_state


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--size", default="small", choices=SIZES)
    parser.add_argument("--steps", type=int, default=48, help="in each turn")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = own_config(SIZES[options.size], conditioning="implicit")
    experiment = dataclasses.replace(load_experiment(options.experiment), model=model)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.start(experiment, Path(folder) / "run")
    examples, net = run.examples("train"), run.fresh_model()
    optimizer = make_optimizer(experiment.optimizer, model.d_model)
    step = jit_step(joint_step(nnx.graphdef(net), optimizer, Objective(0.1)))
    state = initial_state(nnx.state(net), optimizer, 0)

    def seconds(batches: Iterator[Batch]) -> float:
        nonlocal state
        since = time.perf_counter()
        for batch in itertools.islice(batches, options.steps):
            state, _ = step(state, jax.device_put(batch))
        jax.block_until_ready(state)
        return time.perf_counter() - since

    def made_anew() -> Iterator[Batch]:
        batches = training_batches(
            examples, experiment.batching, seed=0, stride=experiment.model.stride
        )
        next(batches)  # the time that it takes to begin is not a step's
        return batches

    batches = made_anew()
    stored = list(itertools.islice(batches, options.steps))
    since = time.perf_counter()
    rows = sum(map(count_rows, itertools.islice(batches, 4 * options.steps)))
    alone = rows / (time.perf_counter() - since)
    seconds(iter(stored))
    turns = [(seconds(made_anew()), seconds(iter(stored))) for _ in range(options.rounds)]
    lost = statistics.median(1 - without / with_input for with_input, without in turns)
    took = statistics.median(without for _, without in turns)
    need = sum(map(count_rows, stored)) / took
    print(f"a step: {1000 * took / options.steps:.0f} ms; lost to input: {lost:.1%}")
    print(f"input alone: {alone:,.0f} examples/s; a step needs {need:,.0f}")


def count_rows(batch: Batch) -> int:
    """Return how many rows a batch has, of all tasks."""
    return sum(len(rows.counts_B) for rows in batch.values())


if __name__ == "__main__":
    main()
