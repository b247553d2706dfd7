"""Training steps beside those of Hugging Face's Transformers on PyTorch, of the same shape.

    pip install -e ".[train,peers]"
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python experiments/benchmarks/training.py [WORK ...]

Works: speech, mixed (16-bit products, float32 sums and weights), text, conditioning (this package
with FiLM against itself without), memory, compile; all of them by default. 16 utterances of 8 s, or
16 sentences of 40 tokens, to 40 tokens, in three sizes. Both sides take turns, so a busy machine
slows both; a ratio is the median of ``--rounds``. ``share`` is our operations a second over those
of large float32 products: how much is left to win, on whatever machine. Writes
``results/benchmarks/training.json``.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
from peers import (
    SIZES,
    Run,
    line,
    measure_all,
    own_training,
    product_ceiling,
    take_turns,
    torch_training,
    training_flops,
)

GOALS = {"speech": 0.55, "mixed": 1.0, "text": 0.55, "explicit": 1.02, "implicit": 1.15}
"""Our time over the other's."""
WORKS = ("speech", "mixed", "text", "conditioning", "memory", "compile")
ALONE = "--alone"


def measure(work: str, size: str, rounds: int) -> list[dict[str, Any]]:
    """Return the lines of one work at one size."""
    shape = SIZES[size]
    if work == "memory":
        peak = {side: _alone(side, size)[0] for side in ("own", "peer")}
        ratio = peak["own"] / peak["peer"]
        return [line(work, size, peak["own"], peak["peer"], ratio, 1.0, "MiB")]
    if work == "compile":
        with tempfile.TemporaryDirectory() as cache:
            cold, warm = (_alone("own", size, JAX_COMPILATION_CACHE_DIR=cache)[1] for _ in "ab")
        return [
            line("compile", size, cold, None, None, 20.0, "s"),
            line("compile from the cache", size, warm, None, None, 5.0, "s"),
        ]
    if work == "conditioning":
        lines = []
        for kind in ("explicit", "implicit"):
            own = own_training(shape, "speech", conditioning=kind)
            times = take_turns(own, own_training(shape, "speech"), rounds)
            lines.append(line(kind, size, *times, GOALS[kind], "s"))
        return lines
    source = "text" if work == "text" else "speech"
    bf16 = work == "mixed"
    own = own_training(shape, source, dtype="bfloat16" if bf16 else "float32")
    times = take_turns(own, torch_training(shape, source, bf16=bf16), rounds)
    ceiling = product_ceiling(2048, 3, jnp.float32)
    share = training_flops(shape, source) / times.own / ceiling
    return [line(work, size, *times, GOALS[work], "s") | {"share": round(share, 2)}]


def _alone(side: str, size: str, **variables: str) -> tuple[float, float]:
    """Return a process's peak memory in MiB, and the seconds of its first step."""
    command = [sys.executable, __file__, ALONE, side, size]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=True
    )
    peak, first = map(float, done.stdout.split()[-2:])
    return peak, first


def alone(side: str, size: str) -> None:
    """Print this process's peak memory after three steps, and the seconds of the first."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    shape = SIZES[size]
    run: Run = (
        own_training(shape, "speech")
        if side == "own"
        else torch_training(shape, "speech", bf16=False)
    )
    since = time.perf_counter()
    run()
    first = time.perf_counter() - since
    for _ in range(2):
        run()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10, first)


if __name__ == "__main__":
    if sys.argv[1:2] == [ALONE]:
        alone(*sys.argv[2:])
    else:
        measure_all(__doc__ or "", WORKS, measure, "training.json")
