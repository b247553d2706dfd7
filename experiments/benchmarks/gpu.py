"""Training and decoding on a GPU, beside Hugging Face's Transformers on PyTorch.

    pip install -e ".[train,peers]" "jax[cuda12]"      # and a PyTorch for the same CUDA
    XLA_PYTHON_CLIENT_PREALLOCATE=false python experiments/benchmarks/gpu.py

Training and beam search of the paper's shape on 8 s of speech and 40 tokens per row, in mixed
precision, for several numbers of rows. MFU is a step's work, as XLA counts it before it compiles,
over its time and over what one large bfloat16 product reaches on the same device. Both sides take
turns. Without a GPU, ``--sizes tiny --rows 2`` shows that it runs. Writes
``results/benchmarks/gpu.json``.

Obtained: not yet.
"""

import argparse
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from peers import (
    FRAMES,
    RESULTS,
    SIZES,
    TARGET,
    Run,
    Size,
    own_decoding,
    own_training,
    product_ceiling,
    take_turns,
    torch_decoding,
    torch_training,
    training_flops,
)

from taskaware.files.whole import write_json
from taskaware.runs.folder import environment

SECONDS = FRAMES / 100
"""Of speech in a row."""


def main() -> None:
    """Measure each number of rows, and store it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["paper"], choices=SIZES)
    parser.add_argument("--rows", nargs="+", type=int, default=[16, 64, 256, 512])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    on_gpu = jax.default_backend() == "gpu"
    ceiling = product_ceiling(8192 if on_gpu else 1024, options.rounds, jnp.bfloat16)
    print(f"one large bfloat16 product: {ceiling / 1e12:.4g} TFLOP/s", flush=True)
    lines = []
    for name in options.sizes:
        for rows in options.rows:
            for work in (training, decoding):
                speed = work(SIZES[name], rows, options.rounds, "cuda" if on_gpu else "cpu")
                if work is training:
                    flops = training_flops(SIZES[name], "speech", rows)
                    speed["MFU"] = flops / speed["seconds"] / ceiling
                rounded = {key: float(f"{value:.4g}") for key, value in speed.items()}
                lines.append({"work": work.__name__, "size": name, "rows": rows, **rounded})
                print("  ".join(f"{key} {value}" for key, value in lines[-1].items()), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    figures = {"measured": lines, "ceiling_flops": ceiling, "environment": environment()}
    write_json(RESULTS / "gpu.json", figures)


def training(size: Size, rows: int, rounds: int, device: str) -> dict[str, float]:
    """Return a training step's seconds and throughput."""
    own = own_training(size, "speech", rows, dtype="bfloat16")
    peer = partial(torch_training, size, "speech", rows, bf16=True, device=device)
    return _measured(own, peer, rows, rounds)


def decoding(size: Size, rows: int, rounds: int, device: str) -> dict[str, float]:
    """Return the seconds and throughput of a search with four beams."""
    own = own_decoding(size, "speech", 4, rows, dtype="bfloat16")
    peer = partial(torch_decoding, size, "speech", 4, rows, bf16=True, device=device)
    return _measured(own, peer, rows, max(3, rounds // 3))


def _measured(own: Run, peer: Callable[[], Run], rows: int, rounds: int) -> dict[str, float]:
    """Time both sides, or this package alone where PyTorch is not installed."""
    alone = importlib.util.find_spec("torch") is None
    times = take_turns(own, own if alone else peer(), rounds)
    figures: dict[str, Any] = {
        "seconds": times.own,
        "tokens/s": rows * TARGET / times.own,
        "audio hours/hour": rows * SECONDS / times.own,
    }
    if not alone:
        figures |= {"peer seconds": times.peer, "own / peer": times.ratio}
    return figures


if __name__ == "__main__":
    main()
