"""How a step is compiled, and what that does to the machine's memory."""

from collections.abc import Callable
from typing import Any

import jax

from taskaware.devices.machine import memory_mappings, return_freed_memory
from taskaware.devices.processes import is_first
from taskaware.training.joint import Metrics, Step
from taskaware.training.state import TrainState


def compiler_options() -> dict[str, Any]:
    """Return what XLA is told of a training step beside its defaults.

    It copies arrays that might be in each other's way, and takes a copy back if it can prove that
    they are not. On a CPU it proves less than on other devices unless it is told to look at the
    parts of a computation in which an array lives.
    """
    on_cpu = jax.default_backend() == "cpu"
    return {"xla_cpu_copy_insertion_use_region_analysis": True} if on_cpu else {}


def jit_step(step: Step, out_shardings: Any = None) -> Any:
    """Return a training step to be compiled; it takes the state's memory for the next state.

    Args:
        step: what a step does.
        out_shardings: how the state and the metrics are split over devices, or None.
    """
    return jax.jit(
        step, donate_argnums=0, out_shardings=out_shardings, compiler_options=compiler_options()
    )


def compiled_first(step: Any, shapes: int, tell: Callable[[str], None]) -> Step:
    """Return a step that compiles for a shape before it runs, so that memory is looked at between.

    What compiling has taken and freed goes back to the system; at paper size on a CPU it is half a
    gibibyte, which would stand beside all that a step needs. After the first shape it is told if
    programs for others will be too many.

    Args:
        step: of ``jit_step``.
        shapes: how many shapes of batches may come.
        tell: is given a warning.
    """
    known = set()

    def run(state: TrainState, batch: Any) -> tuple[TrainState, Metrics]:
        leaves, tasks = jax.tree.flatten(batch)
        shape = (tasks, *[leaf.shape for leaf in leaves])
        if shape not in known:
            before = None if known else memory_mappings()
            step.lower(state, batch).compile()
            return_freed_memory()
            if before and is_first():
                _foretell(before[0], shapes, tell)
            known.add(shape)
        return step(state, batch)

    return run


def _foretell(before: int, shapes: int, tell: Callable[[str], None]) -> None:
    """Warn if programs for all shapes will be more than Linux has memory mappings for.

    On a CPU a program takes a thousand and more. LLVM, when it gets none, ends the process with
    "Unable to allocate section memory", which no caller can catch.
    """
    after = memory_mappings()
    if after and before + shapes * (after[0] - before) > after[1]:
        tell(
            f"warning: the step of one shape of batches takes {after[0] - before:,} memory "
            f"mappings, up to {shapes} shapes will come, and this machine grants a process "
            f"{after[1]:,}; lower batching.buckets, or raise vm.max_map_count, before LLVM ends "
            "the run"
        )
