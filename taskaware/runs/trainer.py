"""Training a run, from its data to its last checkpoint."""

import contextlib
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from taskaware.data.batches import LocalRows, evaluation_batches, training_batches
from taskaware.data.provenance import fingerprint
from taskaware.data.rows import by_task
from taskaware.data.tasks import TaskExamples
from taskaware.devices.processes import AgreedStop, fetch, is_first, on_first_process
from taskaware.devices.sharding import (
    own_rows,
    place_batch,
    row_parts,
    state_sharding,
)
from taskaware.devices.signals import StopSignals
from taskaware.dims import PAD
from taskaware.errors import StoppedError
from taskaware.files.whole import write_json
from taskaware.models.seq2seq import Seq2Seq
from taskaware.runs.checkpoints import _about, _embeddings, restore, training_seconds
from taskaware.runs.console import say
from taskaware.runs.folder import Run, mesh_of, open_run
from taskaware.runs.log import RunLog
from taskaware.runs.warm_start import refuse_other_parameters, taken_over
from taskaware.training import loop
from taskaware.training.compiling import compiled_first
from taskaware.training.joint import Step, joint_loss
from taskaware.training.state import TrainState
from taskaware.training.strategy import batching_over, first_state, step_on


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
        on_first_process(lambda: held.enter_context(run.alone()))
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
    batches_per_step = experiment.optimizer.accumulate
    together = experiment.batching.mixing == "all_tasks"
    total = experiment.steps * batches_per_step
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
        own=LocalRows(*own_rows(mesh), by_task=experiment.strategy == "maml"),
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
            log_every=experiment.log_every * batches_per_step,
            save_every=experiment.save_every * batches_per_step,
            max_skipped=experiment.max_skipped,
            report=log.progress if log else lambda progress: None,
            save=save,
            stop=stop,
            evaluate_every=experiment.validate_every * batches_per_step,
            evaluators=evaluators,
            report_scores=log.scores if log else lambda step, scores: None,
        )


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


def _store_embeddings(run: Run, model: Seq2Seq, examples: list[TaskExamples], step: int) -> None:
    found = _embeddings(run, model, examples)
    if found is not None:
        path = run.folder / "task_embeddings.npz"
        part = run.folder / "task_embeddings.part.npz"
        np.savez(
            part,
            vector_NZ=found.vector_NZ,
            tasks=np.array([task.name for task in run.experiment.tasks]),
            examples=json.dumps(found.example_ids),
            seed=run.experiment.seed,
            step=step,
        )
        os.replace(part, path)
