"""The step, first state and batch sizes of an experiment's strategy."""

import dataclasses
import functools
from typing import assert_never

import jax
from flax import nnx
from jax.stages import Wrapped

from taskaware.config import Batching, Experiment, Meta, OptimizerConfig
from taskaware.devices.sharding import on_every_device
from taskaware.models.seq2seq import Seq2Seq
from taskaware.training.compiling import jit_step
from taskaware.training.joint import Step, joint_step
from taskaware.training.loop import Schedule
from taskaware.training.maml import maml_step
from taskaware.training.objective import Objective, objective_of
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import TASK_ROWS, TrainState, initial_state


def step_of(experiment: Experiment, model: Seq2Seq) -> Step:
    """Return the step of the experiment's strategy.

    Experiments with the same step, such as those of other seeds, get the same function: in one
    process it is traced and compiled once for all of them.
    """
    graphdef, settings, d_model = nnx.graphdef(model), experiment.optimizer, model.config.d_model
    how = objective_of(experiment, schedule_of(experiment).total)
    match experiment.strategy:
        case "joint":
            return _joint_step(graphdef, settings, d_model, how, _frozen(experiment))
        case "maml":
            meta = experiment.meta
            rates = tuple(
                (name, 0.0 if meta.tasks and name not in meta.tasks else meta.inner_learning_rate)
                for name in model.tasks
            )
            return _maml_step(graphdef, settings, d_model, how, rates, meta, _frozen(experiment))
        case _:
            assert_never(experiment.strategy)


@functools.lru_cache(maxsize=8)
def _joint_step(
    graphdef: nnx.GraphDef,
    settings: OptimizerConfig,
    d_model: int,
    how: Objective,
    frozen: tuple[str, ...] | None,
) -> Step:
    optimizer = make_optimizer(settings, d_model)
    return joint_step(graphdef, optimizer, how, _trained(frozen))


@functools.lru_cache(maxsize=8)
def _maml_step(
    graphdef: nnx.GraphDef,
    settings: OptimizerConfig,
    d_model: int,
    how: Objective,
    rates: tuple[tuple[str, float], ...],
    meta: Meta,
    frozen: tuple[str, ...] | None,
) -> Step:
    optimizer, trained = make_optimizer(settings, d_model), _trained(frozen)
    return maml_step(graphdef, optimizer, how, dict(rates), meta, trained)


def schedule_of(experiment: Experiment) -> Schedule:
    """Return an experiment's schedule in batches: ``accumulate`` of them per optimizer step."""
    batches_per_step = experiment.optimizer.accumulate
    return Schedule(
        total=experiment.steps * batches_per_step,
        log_every=experiment.log_every * batches_per_step,
        save_every=experiment.save_every * batches_per_step,
        evaluate_every=(experiment.validate_every or 0) * batches_per_step,
        max_skipped=experiment.max_skipped,
    )


def shapes_of(experiment: Experiment) -> int:
    """Return the largest number of shapes that an experiment's batches may have."""
    batching = experiment.batching
    return batching.buckets * (len(experiment.trained) if batching.mixing == "one_task" else 1)


def step_on(
    experiment: Experiment, model: Seq2Seq, mesh: jax.sharding.Mesh, where: TrainState
) -> Wrapped:
    """Return the jitted step of an experiment on a mesh: see ``jit_step``.

    Args:
        experiment: strategy, optimizer and tasks.
        model: the experiment's model, or its shapes.
        mesh: the devices.
        where: the sharding of each array of the state.
    """
    return jit_step(step_of(experiment, model), (where, on_every_device(mesh)))


def first_state(experiment: Experiment, params: nnx.State) -> TrainState:
    """Return the state before the experiment's first step."""
    optimizer = make_optimizer(experiment.optimizer, experiment.model.d_model)
    return initial_state(params, optimizer, experiment.seed, _trained(_frozen(experiment)))


def _frozen(experiment: Experiment) -> tuple[str, ...] | None:
    """Return the heads that are trained where all else is frozen; None where nothing is."""
    return experiment.new_heads if experiment.frozen else None


def _trained(heads: tuple[str, ...] | None) -> nnx.filterlib.Filter:
    """Return a filter for the parameters that are trained, given ``_frozen``."""
    if heads is None:
        return ...
    return nnx.Any(TASK_ROWS, lambda path, _: path[:1] == ("heads",) and path[1] in heads)


def batching_over(experiment: Experiment, devices: int) -> tuple[Batching, int]:
    """Return the batching and the ``multiple`` of each task's rows, to split them over devices.

    Meta learning takes a support and a query of the batching's size from every batch.
    """
    batching = experiment.batching
    if experiment.strategy == "maml":
        return dataclasses.replace(batching, size=2 * batching.size), 2 * devices
    return batching, devices
