"""Training a run, and its models and task embeddings afterwards."""

import contextlib
import dataclasses
import functools
import json
import os
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, assert_never

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from taskaware.axes import on_every_device, own_rows, place_batch, row_parts, state_sharding
from taskaware.config import Batching, Experiment, Meta, Optimizer
from taskaware.data.batches import Own, evaluation_batches, fingerprint, training_batches
from taskaware.data.collate import by_task
from taskaware.data.tasks import TaskExamples
from taskaware.dims import PAD
from taskaware.errors import StoppedError, UsageError
from taskaware.fine_tuning import refuse_other_parameters, taken_over
from taskaware.inference import TaskEmbeddings, task_embeddings
from taskaware.machine import StopSignals
from taskaware.model.seq2seq import Seq2Seq
from taskaware.processes import AgreedStop, fetch, first_does, is_first
from taskaware.report import RunLog, say
from taskaware.run import Run, damaged, mesh_of, open_run, read_json, write_json
from taskaware.train import loop
from taskaware.train.compiling import compiled_first, jit_step
from taskaware.train.joint import Step, joint_loss, joint_step
from taskaware.train.maml import maml_step
from taskaware.train.optimizer import make_optimizer
from taskaware.train.state import TASK_ROWS, TrainState, average, initial_state


def train(run: Run, *, accept_changes: bool = False) -> int:
    """Train to the experiment's last step, from its newest checkpoint if it has one.

    The task embeddings that decoding needs are computed and stored at the end.

    Args:
        run: of ``run.start``.
        accept_changes: go on from a checkpoint even if it was trained on other data or with
            another tokenizer.

    Returns:
        The step that has been reached: the last one, or a later one if the run had gone further.

    Raises:
        UsageError: another process trains in the folder, or what was saved in it is damaged or
            belongs to something else.
        RunError: a checkpoint could not be written, or the loss is not finite any more.
        StoppedError: SIGTERM or Ctrl-C came; the step has been finished and saved.
    """
    with contextlib.ExitStack() as held:
        first_does(lambda: held.enter_context(run.alone()))
        return _train(run, accept_changes)


def _train(run: Run, accept_changes: bool) -> int:
    experiment = run.experiment
    examples = run.examples("train")
    for task in examples:
        name, total = task.task.name, len(task.rows)
        if task.left_out:
            say(f"{name}: {task.left_out} of {total} too long, left out")
        if unknown := task.unknown():
            characters = " ".join(run.tokenizer.unknown(task.references()[unknown[0]]))
            say(
                f"{name}: {len(unknown)} of {total} texts to be written have characters that the"
                f" tokenizer does not know, such as {characters}: they will come out as \u2047"
            )
    model = run.fresh_model()
    graphdef, params = nnx.split(model)
    mesh = mesh_of(experiment)
    batching, multiple = batching_over(experiment, row_parts(mesh))
    data = fingerprint(
        examples,
        batching,
        experiment.seed,
        run.tokenizer.sha256,
        stride=experiment.model.stride,
        multiple=multiple,
        only=experiment.trained,
        masks=experiment.spec_augment,
    )
    about = _about(run) | {"data": data}
    checkpoints = run.checkpoints()
    stop = StopSignals() if jax.process_count() == 1 else AgreedStop()
    with stop, contextlib.closing(checkpoints):
        saved = checkpoints.recover(say)
        if experiment.start_from and saved is None:
            params = _parameters_to_start_from(run, params)
        state = first_state(experiment, params)
        where = state_sharding(mesh, state)
        if saved is not None:
            state = checkpoints.restore(saved, state, where, {} if accept_changes else about)
            say(f"{run.folder}: going on from step {saved}")
        else:
            state = jax.jit(lambda state: state, out_shardings=where)(state)
        step = step_on(experiment, model, mesh, where)
        began, before = time.monotonic(), training_seconds(run) if int(state.step) else 0.0

        names = [experiment.tasks[index].name for index in experiment.trained]

        def save(state: TrainState, scores: dict[str, float]) -> None:
            losses = [scores[f"validation_loss/{name}"] for name in names] if scores else []
            checkpoints.save(state, about, sum(losses) / len(losses) if losses else None)
            if is_first():
                write_json(run.folder / "seconds.json", before + time.monotonic() - began)

        if saved is None and not experiment.steps:
            save(state, {})  # there is nothing to learn
        with jax.set_mesh(mesh):
            state = _loop(run, model, examples, mesh, state, step, save, stop)
    if stop.received is not None:
        raise StoppedError(
            f"{run.folder}: stopped by {stop.received.name} after step {int(state.step)}, which is "
            "saved; run the same command again to go on",
            stop.received,
        )
    params = fetch(state.params)
    if is_first():
        _store_embeddings(run, nnx.merge(graphdef, params), examples, int(state.step))
    return int(state.step) // experiment.optimizer.accumulate


def step_of(experiment: Experiment, model: Seq2Seq) -> Step:
    """Return the step of the experiment's strategy.

    Experiments that share it, such as those of other seeds, get the same function: in one process
    it is traced and compiled once for all of them.
    """
    graphdef, settings, d_model = nnx.graphdef(model), experiment.optimizer, model.config.d_model
    match experiment.strategy:
        case "joint":
            num_tasks = len(experiment.tasks)
            return _joint_step(graphdef, settings, d_model, num_tasks, experiment.frozen)
        case "maml":
            meta = experiment.meta
            rates = tuple(
                meta.inner_learning_rate if not meta.tasks or task.name in meta.tasks else 0.0
                for task in experiment.tasks
            )
            return _maml_step(graphdef, settings, d_model, rates, meta, experiment.frozen)
        case _:
            assert_never(experiment.strategy)


@functools.lru_cache(maxsize=8)
def _joint_step(
    graphdef: nnx.GraphDef, settings: Optimizer, d_model: int, num_tasks: int, frozen: bool
) -> Step:
    optimizer = make_optimizer(settings, d_model)
    return joint_step(graphdef, optimizer, settings.label_smoothing, num_tasks, _trained(frozen))


@functools.lru_cache(maxsize=8)
def _maml_step(
    graphdef: nnx.GraphDef,
    settings: Optimizer,
    d_model: int,
    rates: tuple[float, ...],
    meta: Meta,
    frozen: bool,
) -> Step:
    optimizer, rate_N = make_optimizer(settings, d_model), jnp.array(rates)
    return maml_step(graphdef, optimizer, settings.label_smoothing, rate_N, meta, _trained(frozen))


def step_on(
    experiment: Experiment, model: Seq2Seq, mesh: jax.sharding.Mesh, where: TrainState
) -> Any:
    """Return the step to be compiled for a mesh: see ``jit_step``.

    Args:
        experiment: what is trained.
        model: of it.
        mesh: the devices.
        where: how the state is split over them.
    """
    return jit_step(step_of(experiment, model), (where, on_every_device(mesh)))


def first_state(experiment: Experiment, params: nnx.State) -> TrainState:
    """Return the state before the experiment's first step."""
    optimizer = make_optimizer(experiment.optimizer, experiment.model.d_model)
    return initial_state(params, optimizer, experiment.seed, _trained(experiment.frozen))


def _trained(frozen: bool) -> nnx.filterlib.Filter:
    """Return which of the model's parameters an experiment changes."""
    return TASK_ROWS if frozen else ...


def batching_over(experiment: Experiment, devices: int) -> tuple[Batching, int]:
    """Return the batching, and of what each task's rows are a multiple, to split them on devices.

    Meta learning takes a support and a query of the batching's size from every batch.
    """
    batching = experiment.batching
    if experiment.strategy == "maml":
        return dataclasses.replace(batching, size=2 * batching.size), 2 * devices
    return batching, devices


def _parameters_to_start_from(run: Run, own: nnx.State) -> nnx.State:
    """Return the newest parameters of the run that this one begins with, and new ones' own."""
    base = open_run(Path(run.experiment.start_from))
    refuse_other_parameters(base, run.experiment, run.tokenizer, own)
    known = jax.device_get(nnx.state(restore(base)[0]))
    return taken_over(known, own, len(base.experiment.tasks))


def _loop(
    run: Run,
    model: Seq2Seq,
    examples: list[TaskExamples],
    mesh: jax.sharding.Mesh,
    state: TrainState,
    step: Step,
    save: Callable[[TrainState, dict[str, float]], None],
    stop: Callable[[], bool],
) -> TrainState:
    """Give the training loop its batches and ears, and count steps in batches for it."""
    experiment, first = run.experiment, int(state.step)
    batches_a_step = experiment.optimizer.accumulate
    together = experiment.batching.mixing == "all_tasks"
    total = experiment.steps * batches_a_step
    batching, multiple = batching_over(experiment, row_parts(mesh))
    shapes = batching.buckets * (1 if together else len(experiment.trained))
    batches = training_batches(
        examples,
        batching,
        seed=experiment.seed,
        stride=experiment.model.stride,
        first=first,
        multiple=multiple,
        only=experiment.trained,
        own=Own(*own_rows(mesh), by_task=experiment.strategy == "maml"),
        masks=experiment.spec_augment,
    )
    if experiment.strategy == "maml":
        batches = map(by_task, batches)
    evaluators = [_validation_loss(run, model, stop)] if experiment.validate_every else []
    with contextlib.ExitStack() as stack:
        log = None
        if is_first():
            log = stack.enter_context(RunLog(run.folder, run.folder.name, first, total))
        return loop.train(
            state,
            compiled_first(step, shapes, say),
            (place_batch(mesh, batch) for batch in batches),
            tasks=[task.name for task in experiment.tasks],
            total=total,
            log_every=experiment.log_every * batches_a_step,
            save_every=experiment.save_every * batches_a_step,
            max_skipped=experiment.max_skipped,
            report=log.progress if log else lambda progress: None,
            save=save,
            stop=stop,
            evaluate_every=experiment.validate_every * batches_a_step,
            evaluators=evaluators,
            report_scores=log.scores if log else lambda step, scores: None,
        )


def best_step(run: Run) -> int:
    """Return the step of least validation loss, the mean of trained tasks; none is a UsageError."""
    with contextlib.closing(run.checkpoints()) as checkpoints:
        step = checkpoints.best()
    if step is None:
        raise UsageError(
            f"{checkpoints.folder}: no checkpoint has a validation loss; set validate_every, and "
            "save_every to a multiple of it"
        )
    return step


def saved_steps(run: Run) -> tuple[int, ...]:
    """Return the steps of the run's checkpoints, the newest last; none is a UsageError."""
    with contextlib.closing(run.checkpoints()) as checkpoints:
        steps = checkpoints.steps()
    if not steps:
        raise UsageError(f"{checkpoints.folder}: no checkpoint; run taskaware train first")
    return steps


def restore(run: Run, steps: Sequence[int] = ()) -> tuple[Seq2Seq, tuple[int, ...]]:
    """Return a model on this process's first device, and the steps that it comes from.

    Args:
        run: trained.
        steps: of checkpoints; of several, the parameters are averaged. The newest by default.
    """
    steps = tuple(steps) or saved_steps(run)[-1:]
    graphdef, params = nnx.split(run.abstract_model())
    like = jax.eval_shape(lambda params: first_state(run.experiment, params), params)
    device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    where = jax.tree.map(lambda _: device, like)
    with contextlib.closing(run.checkpoints()) as checkpoints:
        read = (checkpoints.restore(step, like, where, _about(run)).params for step in steps)
        params = average(read) if len(steps) > 1 else next(read)
    return nnx.merge(graphdef, params), steps


def embeddings_of(run: Run, model: Seq2Seq, steps: tuple[int, ...]) -> TaskEmbeddings | None:
    """Return the task embeddings stored with the newest model, or compute those of another."""
    if run.experiment.model.conditioning == "vanilla":
        return None
    path = run.folder / "task_embeddings.npz"
    if path.exists():
        try:
            with path.open("rb") as file, np.load(file) as stored:
                if (int(stored["step"]),) == steps:
                    examples = json.loads(str(stored["examples"]))
                    return TaskEmbeddings(stored["embedding_NZ"], examples)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise damaged(path, error) from None
    return _embeddings(run, model, run.examples("train"))


def _validation_loss(run: Run, model: Seq2Seq, stop: Callable[[], bool]) -> loop.Evaluator:
    """Return an evaluator: each task's loss a token on the validation split, without dropout.

    It yields no more once it is told to stop.
    """
    examples = run.examples("validation")
    graphdef = nnx.graphdef(model)
    smoothing = run.experiment.optimizer.label_smoothing

    def losses(state: TrainState) -> Iterator[tuple[str, float]]:
        for index, task in enumerate(examples):
            total = tokens = 0.0
            for rows, batch in evaluation_batches(index, task, size=32):
                if stop():
                    return
                batch.target_BT[len(rows) :] = PAD  # rows that only fill the batch
                metrics = _measure(graphdef, smoothing, len(examples), state.params, batch)
                metrics = jax.device_get(metrics)
                total += metrics["loss_N"][index]
                tokens += metrics["tokens_N"][index]
            yield f"validation_loss/{task.task.name}", float(total / tokens)

    return losses


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _measure(graphdef, smoothing, num_tasks, params, batch):
    model, key = nnx.merge(graphdef, params), jax.random.key(0)
    return joint_loss(model, batch, key, None, smoothing, num_tasks)[1]


def _embeddings(run: Run, model: Seq2Seq, examples: list[TaskExamples]) -> TaskEmbeddings | None:
    usual = run.experiment.decoding.examples
    counts = [task.task.max_examples or usual for task in examples]
    return task_embeddings(model, examples, counts, run.experiment.seed)


def _store_embeddings(run: Run, model: Seq2Seq, examples: list[TaskExamples], step: int) -> None:
    found = _embeddings(run, model, examples)
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


def _about(run: Run) -> dict[str, str]:
    return {"tokenizer": run.tokenizer.sha256}


def training_seconds(run: Run) -> float:
    """Return how long the run's training has taken so far, over all its sittings."""
    return float(read_json(run.folder / "seconds.json", 0.0))
