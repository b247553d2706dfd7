"""Training steps beside those of Hugging Face's Transformers on PyTorch, of the same shape.

    pip install -e ".[train,peers]"
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python experiments/benchmarks/training.py [WORK ...]

Works: speech, mixed (16-bit products, float32 sums and weights), text, conditioning (this package
with FiLM against itself without), memory, compile; all of them by default. 16 utterances of 8 s, or
16 sentences of 40 tokens, to 40 tokens, in three sizes. Both sides take turns, so a busy machine
slows both; a ratio is the median of ``--rounds``. ``share`` is our operations per second over those
of large float32 products: how much is left to gain, on any machine. Writes
``results/benchmarks/training.json``.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from peers import (
    SIZES,
    Run,
    goal,
    line,
    measure_all,
    own_training,
    product_ceiling,
    take_turns,
    torch_training,
    training_flops,
)

GOALS = {
    "speech": (0.77, 0.67, 0.65),
    "mixed": (1.25, 1.25, 1.25),
    "text": (0.77, 0.67, 0.59),
    "explicit": (1.02, 1.02, 1.02),
    "implicit": (1.10, 1.10, 1.10),
}
"""Our time over the other's, at each size."""
WORKS = ("speech", "mixed", "text", "conditioning", "memory", "compile")
ALONE = "--alone"
WAYS = {"": {}, ", scan and remat": {"scan": True, "remat": "full"}}
"""Of this package's model to run its blocks."""
MEMORY = {"": 1.3, ", scan and remat": 0.8}


def measure(work: str, size: str, rounds: int) -> list[dict[str, Any]]:
    """Return the lines of one work at one size."""
    shape = SIZES[size]
    if work == "memory":
        peer = _alone("peer", size)[0]
        peaks = {way: _alone(way, size)[0] for way in WAYS}
        return [
            line(work + way, size, own, peer, own / peer, MEMORY[way], "MiB")
            for way, own in peaks.items()
        ]
    if work == "compile":
        lines = []
        for way in WAYS:
            with tempfile.TemporaryDirectory() as cache:
                cold, warm = (_alone(way, size, JAX_COMPILATION_CACHE_DIR=cache)[1] for _ in "ab")
            lines.append(line(work + way, size, cold, None, None, 20.0, "s"))
            lines.append(line(f"{work}{way}, from the cache", size, warm, None, None, 5.0, "s"))
        return lines
    if work == "conditioning":
        lines = []
        for kind in ("explicit", "implicit"):
            own = own_training(shape, "speech", conditioning=kind)
            times = take_turns(own, own_training(shape, "speech"), rounds)
            lines.append(line(kind, size, *times, goal(GOALS[kind], size), "s"))
        return lines
    source = "text" if work == "text" else "speech"
    bf16 = work == "mixed"
    own = own_training(shape, source, dtype="bfloat16" if bf16 else "float32")
    times = take_turns(own, torch_training(shape, source, bf16=bf16), rounds)
    ceiling = product_ceiling(2048, 3, jnp.float32)
    share = training_flops(shape, source) / times.own / ceiling
    entry = line(work, size, *times, goal(GOALS[work], size), "s")
    return [entry | {"share": round(share, 2)}]


def _alone(side: str, size: str, **variables: str) -> tuple[float, float]:
    """Return a process's peak memory in MiB, and the seconds that it took to get ready."""
    command = [sys.executable, __file__, ALONE, side, size]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=True
    )
    peak, ready = map(float, done.stdout.split()[-2:])
    return peak, ready


def alone(side: str, size: str) -> None:
    """Print this process's peak memory after three steps, and what the first took beyond others.

    That is tracing and compiling, or loading from the cache what was compiled before.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    shape = SIZES[size]
    run: Run = (
        torch_training(shape, "speech", bf16=False)
        if side == "peer"
        else own_training(shape, "speech", **WAYS[side])
    )
    took = []
    for _ in range(3):
        since = time.perf_counter()
        run()
        took.append(time.perf_counter() - since)
    # Not getrusage's figure, which begins with that of the process that has started this one.
    status = Path("/proc/self/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak, "Linux has it"
    print(int(peak[1]) / 2**10, took[0] - min(took))


if __name__ == "__main__":
    if sys.argv[1:2] == [ALONE]:
        alone(*sys.argv[2:])
    else:
        measure_all(__doc__ or "", WORKS, measure, "training.json")
