"""Saving states to a folder and restoring the newest."""

from support import train_toy as toy_run
from support.saver import ABOUT
from taskaware.devices.sharding import make_mesh, state_sharding
from taskaware.training.checkpoint import Checkpoints


def restore(folder, about=ABOUT, like=None, mesh=None):
    """The newest state, and its step."""
    checkpoints = Checkpoints(folder, 2)
    like = like or toy_run.setup()[1]
    try:
        where = state_sharding(mesh or make_mesh(), like)
        step = checkpoints.steps()[-1]
        return checkpoints.restore(step, like, where, about), step
    finally:
        checkpoints.close()


def save(folder, *states, keep=2):
    checkpoints = Checkpoints(folder, keep)
    for state in states:
        checkpoints.save(state, ABOUT)
    checkpoints.close()
