"""A process that does nothing but save, and dies before one of its calls of the file system."""

import os
import signal
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware.devices.sharding import make_mesh, state_sharding
from taskaware.training.checkpoint import Checkpoints
from taskaware.training.state import TrainState

ABOUT = {"tokenizer": "abc", "data": "def"}
SAVES = 3
_CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate")


def small(step):
    """A state of few files, which costs no compilation."""
    params = {"a": jnp.full((40, 40), step, jnp.float32), "b": jnp.arange(7.0)}
    return TrainState(jnp.int32(step), nnx.State(params), (), jax.random.key(0))


def loss(step):
    """The seventh step is the best, and falls out of the newest ones."""
    return abs(step - 7.0)


def run(folder, log, last_call=0):
    """Go on from the newest step, which must be as it was saved, and save three more.

    Writes to the log what it begins at and what is committed.

    Args:
        folder: of the checkpoints.
        log: a file.
        last_call: the call that changes something in the folder, counted from 1, before which the
            process is killed; 0 for none.
    """
    told = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    calls = 0

    def watch(event, args):
        nonlocal calls
        writes = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if (writes or event in _CHANGES) and str(args[0]).startswith(str(folder)):
            calls += 1
            if calls == last_call:
                os.kill(os.getpid(), signal.SIGKILL)

    def tell(what):
        os.write(told, f"{what}\n".encode())

    commit = Checkpoints._commit

    def commit_and_tell(self, step, written):
        commit(self, step, written)
        tell(f"committed {step}")

    Checkpoints._commit = commit_and_tell
    sys.addaudithook(watch)
    checkpoints = Checkpoints(Path(folder), 2)
    first = checkpoints.recover(tell) or 0
    if first:
        where = state_sharding(make_mesh(), small(0))
        found = checkpoints.restore(first, small(0), where, ABOUT)
        for name, value in small(first).params.items():
            assert np.array_equal(found.params[name], value)
        assert checkpoints.best() == min(range(1, first + 1), key=loss)
    tell(f"began {first}")
    for step in range(first + 1, first + 1 + SAVES):
        checkpoints.save(small(step), ABOUT, loss(step))
    checkpoints.close()
    tell(f"calls {calls}")
    os._exit(0)
