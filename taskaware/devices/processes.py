"""Several processes that train one model: how they find each other and agree."""

import os
import signal
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import PyTree

from taskaware.errors import RunError, UsageError

_SILENCE = 20
"""Seconds without a heartbeat after which the other processes end; they would wait for ever."""


def join() -> None:
    """Join the other processes that were started by the same command, before JAX is used.

    On Slurm, Open MPI, Kubernetes and TPU pods JAX finds out which process this is; elsewhere
    JAX_COORDINATOR_ADDRESS (host:port of the first), JAX_NUM_PROCESSES and JAX_PROCESS_ID say so.

    Raises:
        UsageError: the other processes cannot be determined, or do not join in time.
    """
    names = ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    try:
        count, rank = (int(os.environ[name]) if name in os.environ else None for name in names)
        jax.distributed.initialize(
            num_processes=count, process_id=rank, heartbeat_timeout_seconds=_SILENCE
        )
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(
            f"--distributed: cannot join the other processes ({reason}); set "
            f"JAX_COORDINATOR_ADDRESS, {' and '.join(names)} for each"
        ) from error


def is_first() -> bool:
    """Return whether this process is the one that writes files and messages."""
    return jax.process_index() == 0


def on_first_process(what: Callable[[], int | None]) -> int | None:
    """Run a function in the first process and return its result in all; the others wait.

    Raises:
        RunError: in the other processes, if it failed; the first raises the error itself.
    """
    if jax.process_count() == 1:
        return what()
    result, failure = None, None
    if is_first():
        try:
            result = what()
        except Exception as error:
            failure = error
    outcome = np.array([failure is None, result is not None, result or 0], np.int64)
    success, is_number, number = multihost_utils.broadcast_one_to_all(outcome).tolist()
    if failure is not None:
        raise failure
    if not success:
        raise RunError("the first process has failed; its own message says how")
    return number if is_number else None


def fetch(tree: PyTree) -> PyTree:
    """Return a tree's arrays as NumPy arrays, gathered from all processes."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    return multihost_utils.process_allgather(tree, tiled=True)


class AgreedStop:
    """Tells all processes at the same step that one of them has received SIGTERM.

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
