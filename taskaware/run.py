"""A run folder: an experiment, and everything that belongs to its result.

Folder: ``experiment.json``, ``environment.json``, ``tokenizer.model``, ``checkpoints/``,
``task_embeddings.npz``, ``metrics.jsonl``, TensorBoard events, and after evaluation
``results.json`` with hypotheses and references as text.
"""

import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from taskaware import config as configs
from taskaware.config import Experiment
from taskaware.data.batches import evaluation_batches, fingerprint, training_batches
from taskaware.data.tasks import TaskExamples, load_tasks
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import PAD
from taskaware.errors import UsageError
from taskaware.inference import TaskEmbeddings, task_embeddings
from taskaware.model.seq2seq import Seq2Seq, build
from taskaware.report import RunLog, say
from taskaware.train import loop, sharding
from taskaware.train.checkpoint import Checkpoints, anything_saved
from taskaware.train.joint import Step, joint_loss, joint_step
from taskaware.train.optimizer import make_optimizer
from taskaware.train.state import TrainState, initial_state

_MAY_CHANGE = {"steps", "log_every", "save_every", "validate_every", "mesh_data", "mesh_model"}
"""Fields that a resumed run may set anew: they decide how long and where, not what."""


class Run(NamedTuple):
    """An experiment in its folder."""

    folder: Path
    experiment: Experiment
    tokenizer: Tokenizer

    def examples(self, split: str, only: str | None = None) -> list[TaskExamples]:
        """Load every task's examples of a split, or one task's; training leaves long ones out."""
        limits = self.experiment.batching if split == "train" else None
        tasks = [task for task in self.experiment.tasks if only in (None, task.name)]
        return load_tasks(tasks, split, self.tokenizer, limits)

    def fresh_model(self) -> Seq2Seq:
        """Build the experiment's model with new weights."""
        tasks = self.experiment.tasks
        return build(
            self.experiment.model,
            self.tokenizer.size,
            len(tasks),
            speech=any(task.source == "speech" for task in tasks),
            seed=self.experiment.seed,
        )

    def checkpoints(self) -> Checkpoints:
        """Open the run's checkpoints."""
        return Checkpoints(self.folder / "checkpoints")


def start(experiment: Experiment, folder: Path) -> Run:
    """Make a run folder, or open the one that the same experiment has begun.

    A folder in which nothing has been saved yet is free for a changed experiment.

    Raises:
        UsageError: the folder belongs to another experiment or cannot be written, or the
            tokenizer is missing.
    """
    tokenizer = Tokenizer.load(Path(experiment.tokenizer))
    known = folder / "experiment.json"
    if known.exists() and anything_saved(folder / "checkpoints"):
        _refuse_changes(configs.load(Experiment, known), experiment, folder)
        own = Tokenizer.load(folder / "tokenizer.model")
        if own.sha256 != tokenizer.sha256:
            raise UsageError(
                f"{experiment.tokenizer}: not the tokenizer that {folder} was begun with; use "
                f"{folder / 'tokenizer.model'} or another --out"
            )
    elif folder.exists() and not known.exists() and not _is_empty(folder):
        raise UsageError(f"{folder}: not empty and not a run folder; choose another --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(experiment.tokenizer, folder / "tokenizer.part")
        os.replace(folder / "tokenizer.part", folder / "tokenizer.model")
        write_json(folder / "environment.json", environment())
        write_text(known, configs.to_json(experiment))  # last: it makes this a run folder
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from None
    return Run(folder, experiment, tokenizer)


def open_run(folder: Path) -> Run:
    """Open a run folder that ``taskaware train`` has written."""
    if not (folder / "experiment.json").exists():
        raise UsageError(f"{folder}: no experiment.json; expected a folder of taskaware train")
    experiment = configs.load(Experiment, folder / "experiment.json")
    return Run(folder, experiment, Tokenizer.load(folder / "tokenizer.model"))


def train(run: Run) -> tuple[Seq2Seq, int]:
    """Train to the experiment's last step, from its newest checkpoint if it has one.

    The task embeddings that decoding needs are computed and stored at the end.

    Returns:
        The trained model and its step, as ``restore`` does.
    """
    experiment = run.experiment
    examples = run.examples("train")
    for task in examples:
        if task.left_out:
            say(f"{task.task.name}: {task.left_out} of {len(task.rows)} too long, left out")
    model = run.fresh_model()
    graphdef, params = nnx.split(model)
    optimizer = make_optimizer(experiment.optimizer, experiment.model.d_model)
    mesh = sharding.make_mesh(experiment.mesh_data, experiment.mesh_model)
    state = initial_state(params, optimizer, experiment.seed)
    where = sharding.state_sharding(mesh, state)
    settings = (experiment.batching, experiment.seed, run.tokenizer.sha256, mesh.shape["data"])
    about = _about(run) | {"data": fingerprint(examples, *settings)}
    checkpoints = run.checkpoints()
    try:
        if checkpoints.latest() is None:
            state = jax.device_put(state, where)
        else:
            state, number = checkpoints.restore(state, where, about)
            say(f"{run.folder}: going on from step {number}")
        smoothing = experiment.optimizer.label_smoothing
        step = jax.jit(joint_step(model, optimizer, smoothing, len(examples)), donate_argnums=0)
        began, before = time.monotonic(), training_seconds(run) if int(state.step) else 0.0

        def save(state: TrainState) -> None:
            checkpoints.save(state, about)
            write_json(run.folder / "seconds.json", before + time.monotonic() - began)

        with jax.set_mesh(mesh):
            state = _loop(run, model, examples, mesh, state, step, save)
    finally:
        checkpoints.close()
    model = nnx.merge(graphdef, jax.device_get(state.params))
    _store_embeddings(run, model, examples, int(state.step))
    return model, int(state.step)


def _loop(
    run: Run,
    model: Seq2Seq,
    examples: list[TaskExamples],
    mesh: jax.sharding.Mesh,
    state: TrainState,
    step: Step,
    save: Callable[[TrainState], None],
) -> TrainState:
    """Give the training loop its batches and ears, and count steps in batches for it."""
    experiment, first = run.experiment, int(state.step)
    batches_a_step = experiment.optimizer.accumulate
    total = experiment.steps * batches_a_step
    batches = training_batches(
        examples,
        experiment.batching,
        seed=experiment.seed,
        first=first,
        devices=mesh.shape["data"],
        process=(jax.process_index(), jax.process_count()),
    )
    evaluators = [_validation_loss(run, model)] if experiment.validate_every else []
    with RunLog(run.folder, run.folder.name, first, total) as log:
        return loop.train(
            state,
            step,
            (sharding.place_batch(mesh, batch) for batch in batches),
            tasks=[task.name for task in experiment.tasks],
            total=total,
            log_every=experiment.log_every * batches_a_step,
            save_every=experiment.save_every * batches_a_step,
            report=log.progress,
            save=save,
            evaluate_every=experiment.validate_every * batches_a_step,
            evaluators=evaluators,
            report_scores=log.scores,
        )


def restore(run: Run) -> tuple[Seq2Seq, int]:
    """Return the run's newest model on this process's first device, and its step."""
    model = run.fresh_model()
    graphdef, params = nnx.split(model)
    optimizer = make_optimizer(run.experiment.optimizer, run.experiment.model.d_model)
    like = jax.eval_shape(lambda: initial_state(params, optimizer, run.experiment.seed))
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    checkpoints = run.checkpoints()
    try:
        state, step = checkpoints.restore(like, jax.tree.map(lambda _: device, like), _about(run))
    finally:
        checkpoints.close()
    return nnx.merge(graphdef, state.params), step


def embeddings_of(run: Run, model: Seq2Seq, step: int) -> TaskEmbeddings | None:
    """Return the task embeddings stored with the model, or compute and store them."""
    if run.experiment.model.conditioning == "vanilla":
        return None
    path = run.folder / "task_embeddings.npz"
    if path.exists():
        with np.load(path) as stored:
            if int(stored["step"]) == step:
                return TaskEmbeddings(stored["embedding_NZ"], json.loads(str(stored["examples"])))
    return _store_embeddings(run, model, run.examples("train"), step)


def environment() -> dict[str, Any]:
    """Return what a result depends on besides the experiment: versions, devices, commit."""
    packages = ("taskaware", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain")
    packages += ("tensorflow-datasets", "sentencepiece", "sacrebleu", "jiwer", "numpy")
    return {
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "backend": jax.default_backend(),
        "devices": [str(device) for device in jax.devices()],
        "commit": _commit(),
    }


def devices_line(experiment: Experiment) -> str:
    """Return a run's first line: what it computes on, and how."""
    mesh = sharding.make_mesh(experiment.mesh_data, experiment.mesh_model)
    shape = " × ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    return (
        f"backend {jax.default_backend()}, {jax.device_count()} device(s) "
        f"({jax.devices()[0].device_kind}), mesh {shape}, {experiment.model.dtype}"
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _validation_loss(run: Run, model: Seq2Seq) -> loop.Evaluator:
    """Return an evaluator: each task's loss a token on the validation split, without dropout."""
    examples = run.examples("validation")
    graphdef = nnx.graphdef(model)
    smoothing = run.experiment.optimizer.label_smoothing
    key = jax.random.key(0)

    @jax.jit
    def measure(params, batch):
        merged = nnx.merge(graphdef, params)
        return joint_loss(merged, batch, key, None, smoothing, len(examples))[1]

    def losses(state: TrainState) -> Iterator[tuple[str, float]]:
        for index, task in enumerate(examples):
            total = tokens = 0.0
            for rows, batch in evaluation_batches(index, task, size=32):
                batch.target_BT[len(rows) :] = PAD  # rows that only fill the batch
                metrics = jax.device_get(measure(state.params, batch))
                total += metrics["loss_N"][index]
                tokens += metrics["tokens_N"][index]
            yield f"validation_loss/{task.task.name}", float(total / tokens)

    return losses


def _store_embeddings(
    run: Run, model: Seq2Seq, examples: list[TaskExamples], step: int
) -> TaskEmbeddings | None:
    found = task_embeddings(model, examples, run.experiment.decoding.examples, run.experiment.seed)
    if found is not None:
        path = run.folder / "task_embeddings.npz"
        part = run.folder / "task_embeddings.part.npz"
        np.savez(
            part,
            embedding_NZ=found.embedding_NZ,
            tasks=np.array([task.name for task in run.experiment.tasks]),
            examples=json.dumps(found.example_ids),
            seed=run.experiment.seed,
            step=step,
        )
        os.replace(part, path)
    return found


def _about(run: Run) -> dict[str, str]:
    return {"tokenizer": run.tokenizer.sha256}


def _refuse_changes(old: Experiment, new: Experiment, folder: Path) -> None:
    before, after = dict(_choices(old)), dict(_choices(new))
    changed = [
        f"{name} {_short(before.get(name))} → {_short(after.get(name))}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]
    if changed:
        raise UsageError(
            f"{folder}: begun with another experiment ({'; '.join(changed)}); choose another --out"
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
        if name not in _MAY_CHANGE | {"tokenizer"} and ".data." not in name:
            yield name, value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 80 else text[:77] + "..."


def training_seconds(run: Run) -> float:
    """Return how long the run's training has taken so far, over all its sittings."""
    path = run.folder / "seconds.json"
    return float(json.loads(path.read_text())) if path.exists() else 0.0


def _commit() -> str | None:
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None
