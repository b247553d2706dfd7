"""How a step is compiled, and what that does to the machine's memory."""

from collections.abc import Callable
from typing import Any

import jax
from jax.stages import Wrapped
from jaxtyping import PyTree

from taskaware.devices.machine import memory_mappings, return_freed_memory
from taskaware.devices.processes import is_first
from taskaware.training.joint import Metrics, Step
from taskaware.training.state import TrainState


def compiler_options() -> dict[str, Any]:
    """Return XLA's options for compiling a training step.

    XLA copies arrays that might overlap in one buffer, and removes a copy where it can prove that
    they do not. On a CPU it proves less than on other devices unless it also analyzes the regions
    of a computation in which an array lives.
    """
    on_cpu = jax.default_backend() == "cpu"
    return {"xla_cpu_copy_insertion_use_region_analysis": True} if on_cpu else {}


def jit_step(step: Step, out_shardings: PyTree = None) -> Wrapped:
    """Return a jitted training step, which reuses the state's memory for the next state.

    Args:
        step: from state and batch to the next state and metrics.
        out_shardings: how those two are split over devices; None leaves it to XLA.
    """
    return jax.jit(
        step, donate_argnums=0, out_shardings=out_shardings, compiler_options=compiler_options()
    )


def compiled_first(step: Wrapped, shapes: int, tell: Callable[[str], None]) -> Step:
    """Return a step that compiles for each new shape before it runs, to look at memory in between.

    Memory that the compiler has freed goes back to the system; at paper size on a CPU that is half
    a gibibyte, which would otherwise be taken on top of all that a step needs. After the first
    shape a warning is given if the programs of all shapes will be too many for the machine.

    Args:
        step: of ``jit_step``.
        shapes: number of shapes that batches may have.
        tell: called with the warning.
    """
    compiled = set()

    def run(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        leaves, tasks = jax.tree.flatten(batch)
        shape = (tasks, *[leaf.shape for leaf in leaves])
        if shape not in compiled:
            before = None if compiled else memory_mappings()
            step.lower(state, batch).compile()
            return_freed_memory()
            if before and is_first():
                _foretell(before[0], shapes, tell)
            compiled.add(shape)
        return step(state, batch)

    return run


def _foretell(before: int, shapes: int, tell: Callable[[str], None]) -> None:
    """Warn if programs for all shapes will be more than Linux has memory mappings for.

    On a CPU a program takes a thousand and more. When there are none left, LLVM ends the process
    with "Unable to allocate section memory", which no caller can catch.
    """
    after = memory_mappings()
    if after and before + shapes * (after[0] - before) > after[1]:
        tell(
            f"warning: the step of one shape of batches takes {after[0] - before:,} memory "
            f"mappings, up to {shapes} shapes will come, and this machine grants a process "
            f"{after[1]:,}; lower batching.buckets, or raise vm.max_map_count, before LLVM ends "
            "the run"
        )
