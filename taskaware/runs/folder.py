"""A run folder: an experiment, and everything that belongs to its result.

Folder: ``experiment.json``, ``environment.json``, ``tokenizer.model``, ``inventories.json`` of what
heads answer, ``checkpoints/``, ``task_vectors.json``, ``metrics.jsonl``, TensorBoard events, and
after evaluation ``results.json`` with hypotheses and references as text.
"""

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from taskaware.config import Experiment
from taskaware.config.wiring import NO_INVENTORIES, Inventories, Inventory, inventories_by_task
from taskaware.data.inventories import read_inventories
from taskaware.data.tasks import TaskExamples, load_tasks
from taskaware.data.tokenizer import Tokenizer
from taskaware.devices.machine import cpu_count
from taskaware.devices.processes import on_first_process
from taskaware.devices.sharding import make_mesh
from taskaware.errors import UsageError
from taskaware.files.lock import sole_user
from taskaware.files.strict_json import load, load_stored, to_json
from taskaware.files.whole import open_whole, write_json, write_text
from taskaware.models.building import abstract_for, build_for
from taskaware.models.seq2seq import Seq2Seq
from taskaware.training.checkpoint import Checkpoints, anything_saved

_MAY_CHANGE = (
    *("steps", "log_every", "save_every", "keep", "max_skipped", "validate_every"),
    *("mesh_data", "mesh_fsdp", "mesh_tensor"),
)
"""Fields that a resumed run may change: they decide how long and where it trains, not what."""

_LOCK, _INVENTORIES = "lock", "inventories.json"


class Run(NamedTuple):
    """An experiment in its folder."""

    folder: Path
    experiment: Experiment
    tokenizer: Tokenizer
    inventories: Inventories = NO_INVENTORIES
    """What each head that does not write texts can answer."""

    @classmethod
    def start(
        cls, experiment: Experiment, folder: str | Path, *, accept_changes: bool = False
    ) -> "Run":
        """Make a run folder, or open the one that the same experiment has begun.

        A folder in which nothing has been saved yet is free for a changed experiment; another one
        only if the changes are accepted. Of several processes, the first makes it.

        Raises:
            UsageError: the folder belongs to another experiment, is in use or cannot be written,
                or the tokenizer is missing.
        """
        folder, tokenizer = Path(folder), Tokenizer.load(Path(experiment.tokenizer))
        on_first_process(lambda: _make_folder(experiment, folder, tokenizer, accept_changes))
        return cls(folder, experiment, tokenizer, _stored_inventories(folder))

    @classmethod
    def open(cls, folder: str | Path) -> "Run":
        """Open a run folder that training has written; another folder is a UsageError."""
        folder = Path(folder)
        if not (folder / "experiment.json").exists():
            raise UsageError(f"{folder}: no experiment.json; expected a folder of taskaware train")
        experiment = load(Experiment, folder / "experiment.json")
        tokenizer = Tokenizer.load(folder / "tokenizer.model")
        return cls(folder, experiment, tokenizer, _stored_inventories(folder))

    def examples(
        self,
        split: str,
        only: str | None = None,
        absent: Callable[[str], None] | None = None,
    ) -> list[TaskExamples]:
        """Load every task's examples of a split, or one task's; training leaves long ones out.

        A task without any is an error, unless ``absent`` is there to be told of it.
        """
        tasks = [task for task in self.experiment.tasks if only in (None, task.name)]
        limits, seed = self.experiment.batching, self.experiment.seed
        return load_tasks(
            *(tasks, split, self.tokenizer, limits, seed),
            keep_long=split != "train",
            inventories=inventories_by_task(tasks, self.experiment.model, self.inventories),
            absent=absent,
        )

    def fresh_model(self) -> Seq2Seq:
        """Build the experiment's model with new weights."""
        tasks, config, seed = self.experiment.tasks, self.experiment.model, self.experiment.seed
        return build_for(tasks, config, self.tokenizer.size, self.inventories, seed=seed)

    def abstract_model(self) -> Seq2Seq:
        """Build the experiment's model with shapes in place of arrays."""
        tasks, config = self.experiment.tasks, self.experiment.model
        return abstract_for(tasks, config, self.tokenizer.size, self.inventories)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the folder for this process.

        Raises:
            UsageError: another process uses it, or another experiment has begun in it.
        """
        with sole_user(self.folder, self.folder / _LOCK):
            if load(Experiment, self.folder / "experiment.json") != self.experiment:
                raise UsageError(
                    f"{self.folder}: another experiment has been begun in it meanwhile; choose "
                    "another --out"
                )
            yield

    def checkpoints(self) -> Checkpoints:
        """Open the run's checkpoints."""
        return Checkpoints(self.folder / "checkpoints", self.experiment.keep)


def _stored_inventories(folder: Path) -> Inventories:
    return load_stored(dict[str, Inventory], folder / _INVENTORIES, NO_INVENTORIES)


def _inventories(experiment: Experiment) -> dict[str, Inventory]:
    """Return what an experiment's heads answer; of heads that a base run has, what it has."""
    read = read_inventories(experiment.tasks, experiment.model)
    if experiment.start_from is None:
        return read
    base = Path(experiment.start_from)
    before = _stored_inventories(base)
    for name in read.keys() & before.keys():
        if unseen := sorted({*read[name].values} - {*before[name].values}):
            raise UsageError(
                f"{base}: its head {name!r} has not seen {unseen[0]!r}, nor {len(unseen) - 1} other"
                " values of the data; name another head in the tasks, or leave such examples out"
            )
    return read | {name: before[name] for name in read.keys() & before.keys()}


def _make_folder(
    experiment: Experiment, folder: Path, tokenizer: Tokenizer, accept_changes: bool
) -> None:
    with sole_user(folder, folder / _LOCK):
        if not accept_changes or not (folder / "experiment.json").exists():
            has_begun(experiment, folder, tokenizer)
        try:
            with open_whole(folder / "tokenizer.model") as file:
                file.write(Path(experiment.tokenizer).read_bytes())
            write_json(folder / "environment.json", environment())
            if not anything_saved(folder / "checkpoints"):  # what has begun keeps its own
                (folder / _INVENTORIES).unlink(missing_ok=True)
                if inventories := _inventories(experiment):
                    write_text(folder / _INVENTORIES, to_json(inventories))
            # Last, for it makes this a run folder.
            write_text(folder / "experiment.json", to_json(experiment))
        except OSError as error:
            raise UsageError(
                f"{folder}: cannot be written ({error.strerror}); choose another --out"
            ) from None


def has_begun(experiment: Experiment, folder: Path, tokenizer: Tokenizer | None) -> bool:
    """Return whether a folder holds what the experiment has saved; nothing is written.

    Raises:
        UsageError: the folder belongs to something else, or to an experiment that has saved and
            differs, or its tokenizer differs from ``tokenizer``.
    """
    path = folder / "experiment.json"
    if path.exists() and anything_saved(folder / "checkpoints"):
        _refuse_changes(load(Experiment, path), experiment, folder)
        begun_with = Tokenizer.load(folder / "tokenizer.model")
        if tokenizer is not None and begun_with.sha256 != tokenizer.sha256:
            raise UsageError(
                f"{experiment.tokenizer}: not the tokenizer that {folder} was begun with; use "
                f"{folder / 'tokenizer.model'} or another --out, or say --accept-changes"
            )
        return True
    if folder.exists() and not path.exists() and not _is_empty(folder):
        raise UsageError(f"{folder}: not empty and not a run folder; choose another --out")
    return False


def environment() -> dict[str, Any]:
    """Return what a result depends on besides the experiment: versions, machine, commit."""
    packages = ("taskaware", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
    packages += ("tensorflow-datasets", "sentencepiece", "sacrebleu", "jiwer", "numpy")
    return {
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": cpu_count(),
        "backend": jax.default_backend(),
        "devices": [str(device) for device in jax.devices()],
        "commit": _commit(),
    }


def mesh_of(experiment: Experiment) -> jax.sharding.Mesh:
    """Return the devices that an experiment asks for; too many are a UsageError."""
    return make_mesh(experiment.mesh_data, experiment.mesh_fsdp, experiment.mesh_tensor)


def devices_line(experiment: Experiment, mesh: jax.sharding.Mesh | None = None) -> str:
    """Return a command's first line: backend, devices, mesh if any, and data type."""
    shape = " × ".join(f"{axis} {size}" for axis, size in mesh.shape.items()) if mesh else ""
    return (
        f"backend {jax.default_backend()}, {jax.device_count()} device(s) "
        f"({jax.devices()[0].device_kind}), {f'mesh {shape}, ' if mesh else ''}"
        f"{experiment.model.dtype}"
    )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and all(path.name == _LOCK for path in folder.iterdir())


def _refuse_changes(old: Experiment, new: Experiment, folder: Path) -> None:
    before, after = dict(_choices(old)), dict(_choices(new))
    changed = [
        f"{name} {_short(before.get(name))} → {_short(after.get(name))}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    if changed:
        raise UsageError(
            f"{folder}: begun with another experiment ({'; '.join(changed)}); choose another --out,"
            " or say --accept-changes"
        )


def _choices(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """Yield what a resumed run may not set anew, each choice by its path, as model.tcn.width."""

    def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
        inner = enumerate(value) if isinstance(value, tuple) else value.items()
        for key, part in inner:
            path = f"{name}.{key}" if name else str(key)
            if isinstance(part, dict | tuple):
                yield from leaves(path, part)
            else:
                yield path, part

    # A moved folder holds the same data, and a tokenizer is compared by its content.
    for name, value in leaves("", dataclasses.asdict(experiment)):
        if name not in (*_MAY_CHANGE, "tokenizer") and ".data." not in name:
            yield name, value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else text[:77] + "..."


def _commit() -> str | None:
    process = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return process.stdout.strip() or None
