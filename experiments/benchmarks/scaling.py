"""How a training step scales over 8, 64 and 512 devices, predicted from the compiled program.

    python experiments/benchmarks/scaling.py [--devices 8 64 512] [--sizes paper tenfold]

Compiles a step of joint learning for so many devices, none of which need be there, and reads from
the program each device's operations and the bytes that it sends. Every device has as many rows on
any number of devices (64 of 8 s of speech). What a link carries and a device computes is assumed to
be as in machines of 8 H200: 450 GB/s to the other seven (NVLink 4), 50 GB/s to other machines
(400 Gbit/s), and 30 % of 989 TFLOP/s. A ring of n sends 2 (n - 1) / n of what it sums, (n - 1) / n
of what it gathers. Efficiency is the time of the work alone over the time with messages, once with
messages after the work and once with as much overlap as possible. Writes
``results/benchmarks/scaling.json``.
"""

import argparse
import json
import math
import os
import re
from typing import Any

import jax
import numpy as np
from flax import nnx
from peers import RESULTS, SIZES, TASKS, Size, batch, own_config

from taskaware.config import OptimizerConfig
from taskaware.devices import sharding
from taskaware.files.whole import write_json
from taskaware.models.building import abstract
from taskaware.runs.folder import environment
from taskaware.training.joint import joint_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import initial_state

ROWS = 64
MACHINE = 8
SPEED = 0.3 * 989e12
INSIDE, OUTSIDE = 450e9, 50e9
"""Bytes per second that a device sends, to the same machine and to others."""

TENFOLD = Size(24, 1_024, 16, 4_096, 32_000, (64, 64, 64))
"""Ten times the work of the paper's model, and nine times its parameters."""

MESHES = {"data": (1, 1), "fsdp": (MACHINE, 1), "tensor": (1, MACHINE)}
"""How many devices split the model, by fsdp and by tensor; ``data`` takes all others."""

MESSAGE = re.compile(
    r"= (.*) (all-reduce|all-gather|reduce-scatter|all-to-all)(?:-start)?\(.*?replica_groups=(\S+"
    r"(?: device_ids=\S+)?(?: \{[^}]*\})?)"
)
BYTES = {"f32": 4, "s32": 4, "u32": 4, "bf16": 2, "pred": 1}


def main() -> None:
    """Print and store a line for each size, mesh and number of devices."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--devices", nargs="+", type=int, default=[8, 64, 512])
    parser.add_argument("--sizes", nargs="+", default=["paper", "tenfold"])
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", max(options.devices))
    os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    path = RESULTS / "scaling.json"
    stored = json.loads(path.read_text())["foretold"] if path.exists() else []
    lines = {(line["size"], line["mesh"], line["devices"]): line for line in stored}
    for name in options.sizes:
        for kind in MESHES:
            for devices in options.devices:
                size = TENFOLD if name == "tenfold" else SIZES[name]
                entry = {"size": name, "mesh": kind, "devices": devices}
                entry |= foretold(size, kind, devices)
                print("  ".join(f"{k} {v}" for k, v in entry.items()), flush=True)
                lines[name, kind, devices] = entry
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(
                    path, {"foretold": list(lines.values()), "environment": without_devices()}
                )


def without_devices() -> dict[str, Any]:
    """Return the environment but for the devices, none of which are there."""
    return {name: value for name, value in environment().items() if name != "devices"}


def foretold(size: Size, kind: str, devices: int) -> dict[str, Any]:
    """Return a device's work, memory and messages, and what that makes of the step's time."""
    fsdp, tensor = MESHES[kind]
    mesh = sharding.make_mesh(devices // (fsdp * tensor), fsdp, tensor)
    optimizer = make_optimizer(OptimizerConfig(), size.d_model)
    model = abstract(own_config(size), size.vocabulary, TASKS, speech=True)
    state = jax.eval_shape(lambda: initial_state(nnx.state(model), optimizer, 0))
    where = sharding.state_sharding(mesh, state)
    rows = jax.eval_shape(lambda: batch(size, "speech", ROWS * devices // tensor))
    with jax.set_mesh(mesh):
        step = jax.jit(
            joint_step(nnx.graphdef(model), optimizer, Objective(0.1)),
            in_shardings=(where, sharding.batch_sharding(mesh)),
            out_shardings=(where, None),
            donate_argnums=0,
        )
        compiled = step.lower(state, rows).compile()
    work = compiled.cost_analysis()["flops"] / SPEED
    sent = messages(compiled.as_text())
    links = sent["inside"] / INSIDE + sent["outside"] / OUTSIDE
    memory = compiled.memory_analysis()
    return {
        "TFLOP": _rounded(work * SPEED / 1e12),
        "GB inside": _rounded(sent["inside"] / 1e9),
        "GB outside": _rounded(sent["outside"] / 1e9),
        "GB of state": _rounded(memory.argument_size_in_bytes / 1e9),
        "efficiency": _rounded(work / (work + links)),
        "efficiency, hidden": _rounded(work / max(work, links)),
    }


def messages(program: str) -> dict[str, float]:
    """Return the bytes that each device sends in a step, within its machine and beyond.

    Members of a group on one machine first share the work among themselves, and then each sends
    its part to the other machines.
    """
    sent = {"inside": 0.0, "outside": 0.0}
    for shapes, kind, groups in MESSAGE.findall(program):
        size = sum(
            BYTES[dtype] * math.prod(map(int, filter(None, widths.split(","))))
            for dtype, widths in re.findall(r"(\w+)\[([\d,]*)\]", shapes)
        )
        group = members(groups)
        if kind == "reduce-scatter":  # its result is what each keeps
            size *= len(group)
        inside = int((group // MACHINE == group[0] // MACHINE).sum())
        machines = len(group) // inside
        times = 2 if kind == "all-reduce" else 1
        sent["inside"] += times * size * (inside - 1) / inside
        sent["outside"] += times * size * (machines - 1) / machines / inside
    return sent


def members(groups: str) -> np.ndarray:
    """Return the devices of the first of some groups, in any of XLA's ways to write them.

    Example:
        >>> members("[2,8]<=[16]").tolist(), members("[8,2]<=[2,8]T(1,0)").tolist()
        ([0, 1, 2, 3, 4, 5, 6, 7], [0, 8])
        >>> members("mesh['a'=2,'b'=8], device_ids=([8,2]T(1,0)) {'a'}").tolist()
        [0, 1]
        >>> members("{{0,2},{1,3}}").tolist()
        [0, 2]
    """
    if groups.startswith("{{"):
        return np.array(re.findall(r"\d+", groups.partition("}")[0]), int)
    order = re.search(r"\[([\d,]+)\](?:T\(([\d,]+)\))?\)? ?(?:\{|,?$)", groups)
    named = re.findall(r"('\w+')=(\d+)", groups)
    shape = [int(width) for _, width in named] or _numbers(groups[1 : groups.index("]")])
    devices = np.arange(math.prod(shape))
    if order:
        devices = devices.reshape(_numbers(order[1]))
        devices = devices.transpose(_numbers(order[2])) if order[2] else devices
    devices = devices.reshape(shape)
    if not named:
        return devices[0]
    chosen = re.findall(r"'\w+'", groups[groups.rindex("{") :])
    return devices[tuple(slice(None) if axis in chosen else 0 for axis, _ in named)].ravel()


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


if __name__ == "__main__":
    main()
