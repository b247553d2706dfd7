"""Training a run, from its data to its last checkpoint."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from taskaware.config import ModelConfig
from taskaware.config.heads import CTCConfig
from taskaware.config.wiring import ctc_of, head_of
from taskaware.data.batches import LocalRows, training_batches
from taskaware.data.provenance import fingerprint
from taskaware.data.targets import TokenRows
from taskaware.data.tasks import TaskExamples
from taskaware.data.tokenizer import Tokenizer
from taskaware.devices.processes import AgreedStop, fetch, is_first, on_first_process
from taskaware.devices.sharding import local_rows, place_batch, row_parts, state_sharding
from taskaware.devices.signals import StopSignals
from taskaware.dims import Batch
from taskaware.errors import StoppedError, UsageError
from taskaware.nn.losses import needed_positions
from taskaware.runs.checkpoints import VECTORS, about, computed_vectors, restore
from taskaware.runs.console import say
from taskaware.runs.folder import Run, mesh_of
from taskaware.runs.listener import RunListener
from taskaware.runs.warm_start import refuse_other_parameters, taken_over
from taskaware.training import loop
from taskaware.training.compiling import compiled_first
from taskaware.training.strategy import batching_over, first_state, schedule_of, shapes_of, step_on

_MOST_MISFITS = 0.01
"""Share of a task's examples that may have no CTC alignment."""


def train(run: Run, *, accept_changes: bool = False) -> int:
    """Train to the experiment's last step, from its newest checkpoint if it has one.

    The task vectors that decoding needs are computed and stored at the end.

    Args:
        run: of ``Run.start``.
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
    experiment = run.experiment
    with contextlib.ExitStack() as alone, contextlib.ExitStack() as stack:
        on_first_process(lambda: alone.enter_context(run.alone()))

        # Load: every task's examples, and how they become batches on these devices.
        mesh = mesh_of(experiment)
        examples, data, batches_from = _data(run, mesh)
        identity = about(run) | {"data": data}

        # Build: a fresh model, whose parameters may be those of the run that this one starts from.
        model = run.fresh_model()
        graphdef, params = nnx.split(model)
        checkpoints = stack.enter_context(contextlib.closing(run.checkpoints()))
        saved = checkpoints.recover(say)
        if experiment.start_from is not None and saved is None:
            params = _parameters_to_start_from(run, experiment.start_from, params)

        # Place, and restore or begin.
        state = first_state(experiment, params)
        where = state_sharding(mesh, state)
        if saved is None:
            state = jax.jit(lambda state: state, out_shardings=where)(state)
        else:
            state = checkpoints.restore(saved, state, where, {} if accept_changes else identity)
            say(f"{run.folder}: going on from step {saved}")

        # Loop, and store on the way.
        stop = AgreedStop() if jax.process_count() > 1 else stack.enter_context(StopSignals())
        first, schedule = int(state.step), schedule_of(experiment)
        listener = RunListener(run, checkpoints, identity, model, stop, first, schedule.total)
        stack.enter_context(listener)
        if saved is None and not experiment.steps:
            listener.save(state, {})  # there is nothing to learn
        step = step_on(experiment, model, mesh, where)
        with jax.set_mesh(mesh):
            state = loop.train(
                state,
                compiled_first(step, shapes_of(experiment), say),
                (place_batch(mesh, batch) for batch in batches_from(first)),
                listener,
                schedule,
                tasks=[task.name for task in experiment.tasks],
            )
        stack.close()

        # Store what decoding needs besides the parameters, unless the run is to go on.
        if stop.received is not None:
            raise StoppedError(
                f"{run.folder}: stopped by {stop.received.name} after step {int(state.step)}, which"
                " is saved; run the same command again to go on",
                stop.received,
            )
        params = fetch(state.params)
        if is_first():
            vectors = computed_vectors(run, nnx.merge(graphdef, params), examples)
            if vectors is not None:
                vectors.save(run.folder / VECTORS)
    return int(state.step) // experiment.optimizer.accumulate


def _data(
    run: Run, mesh: jax.sharding.Mesh
) -> tuple[list[TaskExamples], str, Callable[[int], Iterator[Batch]]]:
    """Return the tasks' examples, their batches' fingerprint, and the batches from a number on."""
    experiment, examples = run.experiment, run.examples("train")
    _warn_of_examples(examples, run.tokenizer)
    for task in examples:
        _require_ctc_fits(task, experiment.model)
    batching, multiple = batching_over(experiment, row_parts(mesh))
    how: dict[str, Any] = {
        "stride": experiment.model.stride,
        "multiple": multiple,
        "only": experiment.trained,
        "masks": experiment.spec_augment,
    }

    def batches_from(first: int) -> Iterator[Batch]:
        local, seed = LocalRows(*local_rows(mesh)), experiment.seed
        return training_batches(examples, batching, seed=seed, first=first, local=local, **how)

    tokenizer = run.tokenizer.sha256
    return (
        examples,
        fingerprint(examples, batching, experiment.seed, tokenizer, **how),
        batches_from,
    )


def _warn_of_examples(examples: Sequence[TaskExamples], tokenizer: Tokenizer) -> None:
    """Print what training leaves out, and texts that the tokenizer cannot write."""
    for task in examples:
        name, total = task.task.name, len(task.rows)
        if task.left_out:
            say(f"{name}: {task.left_out} of {total} too long, left out")
        if unknown := task.unknown():
            characters = " ".join(tokenizer.unknown(task.references()[unknown[0]]))
            say(
                f"{name}: {len(unknown)} of {total} texts to be written have characters that the"
                f" tokenizer does not know, such as {characters}: they will come out as \u2047"
            )


def _require_ctc_fits(examples: TaskExamples, model: ModelConfig) -> None:
    """Print how many examples have more labels than CTC has outputs; refuse more than 1 %."""
    task = examples.task
    heads = head_of(task, model), ctc_of(task, model)
    rates = [head.rate for head in heads if isinstance(head, CTCConfig)]
    if not rates or not isinstance(examples.target, TokenRows):
        return
    stride = 1 if examples.source is not None else model.stride
    outputs = rates[0] * -(-examples.source_length // stride)
    sequences = map(examples.target.__getitem__, examples.selection.tolist())
    needed = np.array([int(needed_positions(tokens)) for tokens in sequences])
    misfits = examples.selection[needed > outputs[examples.selection]]
    if not len(misfits):
        return
    what = (
        f"{task.name}: {len(misfits)} of {len(examples)} examples, such as "
        f"{examples.rows[misfits[0]].id!r}, have more labels than CTC has outputs"
    )
    if len(misfits) > _MOST_MISFITS * len(examples):
        raise UsageError(
            f"{what}; expected at most {_MOST_MISFITS:.0%}: raise the head's rate, or train a "
            "tokenizer of more tokens"
        )
    say(f"{what}: they add no CTC loss")


def _parameters_to_start_from(run: Run, start_from: str, fresh: nnx.State) -> nnx.State:
    """Return the newest parameters of the run that this one begins with, and fresh ones besides."""
    base = Run.open(Path(start_from))
    refuse_other_parameters(base, run.experiment, run.tokenizer, fresh)
    trained = jax.device_get(nnx.state(restore(base)[0]))
    return taken_over(trained, fresh, len(base.experiment.tasks))
