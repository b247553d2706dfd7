"""Several processes that train one model: how they find each other, and what they agree on."""

import os
import signal
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from taskaware.errors import RunError, UsageError

_SILENCE = 20
"""Seconds without a sign of life, after which the others end: alone they would wait for ever."""


def join() -> None:
    """Join the other processes that were started by the same command, before JAX is used.

    Slurm, Open MPI, Kubernetes and TPU pods tell by themselves which process this is; elsewhere
    JAX_COORDINATOR_ADDRESS (host:port of the first), JAX_NUM_PROCESSES and JAX_PROCESS_ID do.

    Raises:
        UsageError: it is not to be found out who the others are, or they do not come.
    """
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    try:
        count, own = (int(os.environ[name]) if name in os.environ else None for name in names)
        jax.distributed.initialize(
            num_processes=count, process_id=own, heartbeat_timeout_seconds=_SILENCE
        )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"--distributed: cannot join the other processes ({reason}); set "
            f"JAX_COORDINATOR_ADDRESS, {' and '.join(names)} for each"
        ) from error


def is_first() -> bool:
    """Return whether this process is the one that writes and talks."""
    return jax.process_index() == 0


def on_first_process(what: Callable[[], int | None]) -> int | None:
    """Let the first process do something while the others wait, and return what it returned.

    Raises:
        RunError: in the others, where it failed; in the first its own error.
    """
    if jax.process_count() == 1:
        return what()
    found, failed = None, None
    if is_first():
        try:
            found = what()
        except Exception as error:
            failed = error
    told = np.array([failed is None, found is not None, found or 0], np.int64)
    well, known, number = multihost_utils.broadcast_one_to_all(told).tolist()
    if failed is not None:
        raise failed
    if not well:
        raise RunError("the first process has failed; its own message says how")
    return number if known else None


def fetch(tree: PyTree) -> PyTree:
    """Return arrays as NumPy's, gathered from all processes."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


class AgreedStop:
    """SIGTERM to any of several processes, known to all of them at the same step.

    Called once per step, in turn with the others: JAX has listened since they joined.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._calls = 0

    def __call__(self) -> bool:
        """Return whether it is time to stop."""
        self._calls += 1
        if multihost_utils.reached_preemption_sync_point(self._calls):
            self.received = signal.SIGTERM
        return self.received is not None
