"""Model, optimizer, data position and randomness: saved and restored together.

A step is a folder of Orbax, and beside it a record that says by its name how far it is:
``manifests/6.part`` while step 6 is being written or deleted, and from the moment on at which all
of it is there ``manifests/6.json``, with the SHA-256 of every file.
"""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from taskaware.devices.processes import is_first, on_first_process
from taskaware.errors import RunError, UsageError
from taskaware.files.digests import damage, listing
from taskaware.training.state import TrainState


class Checkpoints:
    """The newest steps of a run and the one of least loss, each whole or absent.

    Args:
        folder: where steps lie, one subfolder each.
        keep: number of the newest steps that are kept; the best one is kept besides.
    """

    def __init__(self, folder: Path, keep: int):
        self.folder = folder.absolute()
        self._manifests = self.folder / "manifests"
        self._keep = keep
        self._background = concurrent.futures.ThreadPoolExecutor(1)
        self._saving: concurrent.futures.Future[None] | None = None
        self._whole: int | None = None  # the step that has been read to its last byte

    def steps(self) -> tuple[int, ...]:
        """Return the steps that have been committed and not deleted since, the newest last."""
        return tuple(sorted(_numbers(self._manifests)))

    def best(self) -> int | None:
        """Return the committed step of least loss, the first of equals; None if none has one.

        A step's loss is part of it, so no crash can part them.
        """
        losses = {step: loss for step in self.steps() if (loss := self._loss(step)) is not None}
        return min(losses, key=lambda step: losses[step], default=None)

    def recover(self, tell: Callable[[str], None]) -> int | None:
        """Return the newest step that is whole, None if none was ever committed.

        Unfinished steps of a killed run are deleted, and damaged steps newer than that one are
        moved to ``damaged``. To be called by the run that continues; its first process does it.

        Args:
            tell: called with a line that names what is damaged and what is used instead.

        Raises:
            UsageError: something was committed, and all of it is damaged.
        """
        self._whole = on_first_process(lambda: self._recover(tell))
        return self._whole

    def _recover(self, tell: Callable[[str], None]) -> int | None:
        for part in self._manifests.glob("*.part"):
            self._delete(int(part.stem))
        damaged: dict[int, str] = {}
        for step in sorted(_numbers(self.folder) | _numbers(self._manifests), reverse=True):
            what = self._damage(step)
            if not what:
                break
            damaged[step] = what
        else:
            step = None
        if not damaged:
            return step
        listed = "; ".join(f"{step}: {what}" for step, what in damaged.items())
        if step is None:
            raise UsageError(
                f"{self.folder}: every checkpoint is damaged ({listed}); put back a copy of the "
                "folder, or train in a new one"
            )
        for bad in damaged:
            self._set_aside(bad)
        tell(
            f"{self.folder}: damaged ({listed}); moved to {self.folder / 'damaged'}, and step "
            f"{step} is used instead"
        )
        return step

    def save(self, state: TrainState, about: dict[str, str], loss: float | None = None) -> None:
        """Begin to save a state; it is safe once ``wait`` or the next ``save`` has returned.

        Args:
            state: copied to the host before this returns, so it may be donated afterwards.
            about: what the state belongs to; ``restore`` compares it.
            loss: the step's validation loss, if it was evaluated; the best step is kept.

        Raises:
            RunError: the previous save failed or, with several processes, this one cannot begin.
        """
        self.wait()
        step = int(state.step)
        metadata = {"shapes": json.dumps(_shapes(state)), "loss": json.dumps(loss)}
        items = {"state": _plain(state), "about": about | metadata}
        if jax.process_count() == 1:
            # Orbax takes a fifth of a second to begin with some hundred arrays: not in the loop.
            # A copy: on a CPU, device_get returns the device's memory, which the next step reuses.
            items["state"] = jax.tree.map(np.array, jax.device_get(items["state"]))
            self._saving = self._background.submit(self._write, step, items)
            return
        try:
            written = self._begin(step, items)
        except Exception as error:
            raise self._not_written(error) from error
        self._saving = self._background.submit(self._commit, step, written)

    def wait(self) -> None:
        """Block until the last ``save`` is committed; raise RunError if it failed."""
        saving, self._saving = self._saving, None
        try:
            if saving is not None:
                saving.result()
        except Exception as error:
            raise self._not_written(error) from error

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
            UsageError: it is damaged, belongs to something else, or has other shapes.
        """
        path = str(self.folder / str(step))
        if step != self._whole and (what := self._damage(step)):
            raise UsageError(
                f"{path}: damaged ({what}); taskaware train goes back to the step before"
            )
        try:
            metadata = self._about(step)
            saved = json.loads(metadata["shapes"])
        except (OSError, ValueError, LookupError) as error:
            raise self._not_restored(step, error) from error
        for name, expected in about.items():
            if metadata.get(name) != expected:
                raise UsageError(
                    f"{self.folder}/{step}: not trained with this {name} (expected "
                    f"{metadata.get(name)}, found {expected}); restore it, train in a new folder, "
                    "or say --accept-changes"
                )
        shapes = _shapes(like)
        for name in sorted(saved.keys() | shapes.keys()):
            if saved.get(name) != shapes.get(name):
                raise UsageError(
                    f"{self.folder}/{step}: cannot be restored into this model (parameter {name}: "
                    f"expected shape {shapes.get(name)}, found {saved.get(name)}); train in a new "
                    "folder"
                )
        abstract = jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            _plain(like),
            _plain(sharding),
        )
        try:
            state = ocp.load_checkpointables(path, {"state": abstract})["state"]
        except Exception as error:
            raise self._not_restored(step, error) from error
        return state._replace(key=jax.random.wrap_key_data(state.key))

    def close(self) -> None:
        """Wait for the last ``save``, as ``wait`` does, and end the background thread."""
        try:
            self.wait()
        finally:
            self._background.shutdown()

    def _write(self, step: int, items: dict[str, Any]) -> None:
        self._commit(step, self._begin(step, items))

    def _begin(self, step: int, items: dict[str, Any]) -> Any:
        """Start Orbax's asynchronous write and return its handle."""
        if is_first():
            self._manifests.mkdir(parents=True, exist_ok=True)
            self._record(step, "part").touch()
        return ocp.save_checkpointables_async(str(self.folder / str(step)), items)

    def _commit(self, step: int, written: Any) -> None:
        """Record a step once it is written, then delete those that are not to be kept."""
        written.result()
        if not is_first():
            return
        self._record(step, "part").write_text(listing(self.folder / str(step)))
        os.replace(self._record(step, "part"), self._record(step, "json"))
        best = self.best()
        for old in self.steps()[: -self._keep]:
            if old != best:
                self._delete(old)

    def _loss(self, step: int) -> float | None:
        """Return the loss that a step was saved with, None if it has none that can be read."""
        try:
            return json.loads(self._about(step).get("loss", "null"))
        except (OSError, ValueError, AttributeError):
            return None  # damaged: whoever restores it says so

    def _about(self, step: int) -> dict[str, str]:
        """Return the metadata that a step was saved with.

        Orbax stores strings as JSON. Reading them through Orbax takes a fifth of a second and waits
        for all processes, where often only the first one asks.
        """
        path = self.folder / str(step) / "about" / "_strings.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def _delete(self, step: int) -> None:
        """Delete a step; its record is ``.part`` meanwhile, which marks it if this is cut short."""
        part = self._record(step, "part")
        if self._record(step, "json").exists():
            os.replace(self._record(step, "json"), part)
        for folder in (str(step), f"{step}.orbax-checkpoint-tmp"):
            if (self.folder / folder).exists():
                _delete_folder(self.folder / folder)
        part.unlink(missing_ok=True)

    def _set_aside(self, step: int) -> None:
        """Move a step to the folder ``damaged``, where it is ignored."""
        damaged = self.folder / "damaged"
        damaged.mkdir(exist_ok=True)
        for path in (self.folder / str(step), self._record(step, "json")):
            if path.exists():
                shutil.rmtree(damaged / path.name, ignore_errors=True)
                os.replace(path, damaged / path.name)

    def _damage(self, step: int) -> str:
        return damage(self.folder / str(step), self._record(step, "json"))

    def _record(self, step: int, state: str) -> Path:
        return self._manifests / f"{step}.{state}"

    def _not_restored(self, step: int, error: Exception) -> UsageError:
        return UsageError(
            f"{self.folder / str(step)}: cannot be restored ({_reason(error)}); train in a new "
            "folder"
        )

    def _not_written(self, error: Exception) -> RunError:
        return RunError(
            f"{self.folder}: the newest checkpoint could not be written ({_reason(error)}); "
            "earlier ones are good; make room or mend the folder, then run the same command again"
        )


def _delete_folder(folder: Path) -> None:
    """Delete a folder in which a write that failed may still be giving back its locks."""
    while folder.exists():
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)


def anything_saved(folder: Path) -> bool:
    """Return whether a run has saved, without opening or changing its folder."""
    return bool(_numbers(folder) | _numbers(folder / "manifests"))


def _numbers(folder: Path) -> set[int]:
    """Return the steps that have a subfolder, or a manifest, in a folder."""
    return {
        int(path.stem) for path in folder.glob("[0-9]*") if re.fullmatch(r"\d+(\.json)?", path.name)
    }


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _shapes(state: TrainState) -> dict[str, list[int]]:
    """Return every parameter's shape by its path, for errors that name it: Orbax's do not."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state.params)
    return {jax.tree_util.keystr(path): list(leaf.shape) for path, leaf in leaves}


def _plain(state: TrainState) -> TrainState:
    """Replace the typed key by its raw numbers: Orbax cannot store a typed one."""
    if isinstance(state.key, jax.sharding.Sharding):
        return state
    if isinstance(state.key, jax.ShapeDtypeStruct):
        return state._replace(key=jax.eval_shape(jax.random.key_data, state.key))
    return state._replace(key=jax.random.key_data(state.key))
