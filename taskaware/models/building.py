"""Models with fresh weights, or of shapes alone, from a configuration or an experiment's tasks."""

import functools
from collections.abc import Sequence
from typing import Any

from flax import nnx

from taskaware.config import ModelConfig, Task
from taskaware.config.heads import Wiring
from taskaware.config.wiring import NO_INVENTORIES, Inventories, wiring_of
from taskaware.models.seq2seq import Seq2Seq
from taskaware.nn.layers import OneKey


def build(
    config: ModelConfig,
    vocab_size: int,
    tasks: Sequence[str],
    *,
    speech: bool,
    seed: int,
    task_tokens: Sequence[Sequence[str]] = (),
    wiring: Wiring = Wiring(),  # noqa: B008 (a NamedTuple)
) -> Seq2Seq:
    """Build a model with fresh weights; the arguments are those of ``Seq2Seq``."""
    return Seq2Seq(
        config,
        vocab_size,
        tasks,
        speech=speech,
        task_tokens=task_tokens,
        wiring=wiring,
        rngs=nnx.Rngs(seed),
    )


def abstract(
    config: ModelConfig,
    vocab_size: int,
    tasks: Sequence[str],
    *,
    speech: bool,
    task_tokens: Sequence[Sequence[str]] = (),
    wiring: Wiring = Wiring(),  # noqa: B008 (a NamedTuple)
) -> Seq2Seq:
    """Build a model of shapes alone (``jax.ShapeDtypeStruct``), without drawing random numbers."""
    tokens = tuple(map(tuple, task_tokens))
    return nnx.clone(_traced(config, vocab_size, tuple(tasks), speech, tokens, wiring))


@functools.lru_cache(maxsize=16)
def _traced(
    config: ModelConfig,
    vocab_size: int,
    tasks: tuple[str, ...],
    speech: bool,
    task_tokens: tuple[tuple[str, ...], ...],
    wiring: Wiring,
) -> Seq2Seq:
    def model() -> Seq2Seq:
        return Seq2Seq(
            config,
            vocab_size,
            tasks,
            speech=speech,
            task_tokens=task_tokens,
            wiring=wiring,
            rngs=OneKey(),
        )

    return nnx.eval_shape(model)


def build_for(
    tasks: Sequence[Task],
    config: ModelConfig,
    vocab_size: int,
    inventories: Inventories = NO_INVENTORIES,
    *,
    seed: int,
) -> Seq2Seq:
    """Build a model of an experiment's tasks with fresh weights."""
    return build(config, vocab_size, **_of(tasks, config, inventories), seed=seed)


def abstract_for(
    tasks: Sequence[Task],
    config: ModelConfig,
    vocab_size: int,
    inventories: Inventories = NO_INVENTORIES,
) -> Seq2Seq:
    """Build a model of an experiment's tasks of shapes alone, as ``abstract`` does."""
    return abstract(config, vocab_size, **_of(tasks, config, inventories))


def _of(tasks: Sequence[Task], config: ModelConfig, inventories: Inventories) -> dict[str, Any]:
    return {
        "tasks": [task.name for task in tasks],
        "speech": any(task.source == "speech" for task in tasks),
        "task_tokens": [task.tokens for task in tasks],
        "wiring": wiring_of(tasks, config, inventories),
    }
