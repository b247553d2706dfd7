"""Model, optimizer, data position and randomness: saved and restored together."""

import json
import logging
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from taskaware.errors import RunError, UsageError
from taskaware.train.state import TrainState

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells its every move


class Checkpoints:
    """The newest steps of a run, each complete or absent.

    Args:
        folder: where steps lie, one subfolder each.
        keep: how many stay.
    """

    def __init__(self, folder: Path, keep: int):
        # Orbax's own annotations do not admit its own policies, hence Any.
        policies: Any = ocp.training
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._orbax = policies.Checkpointer(
            str(folder.absolute()),
            save_decision_policy=policies.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=policies.preservation_policies.LatestN(keep),
            cleanup_tmp_directories=True,
        )
        self._saving: Any = None

    def steps(self) -> tuple[int, ...]:
        """Return the steps that have been saved and kept, the newest last."""
        return tuple(sorted(saved.step for saved in self._orbax.checkpoints))

    def save(self, state: TrainState, about: dict[str, str]) -> None:
        """Begin to save a state; it is safe once ``wait`` or the next ``save`` has returned.

        Args:
            state: copied to the host before this returns, so it may be donated afterwards.
            about: what the state belongs to; ``restore`` compares it.
        """
        self.wait()
        items = {"state": _plain(state), "about": about | {"shapes": json.dumps(_shapes(state))}}
        self._saving = self._orbax.save_checkpointables_async(int(state.step), items, force=True)

    def wait(self) -> None:
        """Return when what was begun is committed; raise RunError if it could not be."""
        if self._saving is None:
            return
        saving, self._saving = self._saving, None
        try:
            saving.result()
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise RunError(
                f"{self.folder}: the newest checkpoint could not be written ({reason}); earlier "
                "ones are good; make room or mend the folder, then run the same command again"
            ) from error

    def restore(
        self, step: int, like: TrainState, sharding: PyTree, about: dict[str, str]
    ) -> TrainState:
        """Return a step's state, its arrays placed as asked.

        Args:
            step: one of ``steps``.
            like: a state, or its shapes, of the same structure.
            sharding: where each array goes.
            about: what the state must belong to.

        Raises:
            UsageError: it belongs to something else, or has other shapes.
        """
        found = self._orbax.load_checkpointables(step, {"about": None})["about"]
        for name, expected in about.items():
            if found.get(name) != expected:
                raise UsageError(
                    f"{self.folder}/{step}: not trained with this {name} (expected "
                    f"{found.get(name)}, found {expected}); restore it, or train in a new folder"
                )
        saved, wanted = json.loads(found["shapes"]), _shapes(like)
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                raise UsageError(
                    f"{self.folder}/{step}: cannot be restored into this model (parameter {name}: "
                    f"expected shape {wanted.get(name)}, found {saved.get(name)}); train in a new "
                    "folder"
                )
        abstract = jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            _plain(like),
            _plain(sharding),
        )
        try:
            state = self._orbax.load_checkpointables(step, {"state": abstract})["state"]
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UsageError(
                f"{self.folder}/{step}: cannot be restored ({reason}); delete this step to go back "
                "to the one before"
            ) from error
        return state._replace(key=jax.random.wrap_key_data(state.key))

    def close(self) -> None:
        """Wait for what was begun and let go of the folder."""
        self.wait()
        self._orbax.close()


def anything_saved(folder: Path) -> bool:
    """Return whether a run has begun to save, without opening or changing its folder."""
    return any(folder.glob("[0-9]*"))


def _shapes(state: TrainState) -> dict[str, list[int]]:
    """Return every parameter's shape by its path: Orbax's own errors do not name it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state.params)
    return {jax.tree_util.keystr(path): list(leaf.shape) for path, leaf in leaves}


def _plain(state: TrainState) -> TrainState:
    """Replace the typed key by its numbers, which is what can be stored."""
    if isinstance(state.key, jax.sharding.Sharding):
        return state
    if isinstance(state.key, jax.ShapeDtypeStruct):
        return state._replace(key=jax.eval_shape(jax.random.key_data, state.key))
    return state._replace(key=jax.random.key_data(state.key))
