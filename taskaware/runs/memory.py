"""The largest batch that fits into a device's memory, predicted from compiled programs.

No step runs, so none can run out of memory: XLA reports what a compiled step will need.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx

from taskaware.config import Experiment
from taskaware.config.wiring import Inventories, inventories_by_task
from taskaware.data.blanks import blank_batches
from taskaware.data.inventories import read_inventories
from taskaware.data.tasks import TaskExamples, load_tasks
from taskaware.data.tokenizer import Tokenizer
from taskaware.devices.sharding import batch_sharding, row_parts, state_sharding
from taskaware.dims import (
    MEL_CHANNELS,
    Batch,
    FrameLabels,
    Label,
    Number,
    Speech,
    Tags,
    Target,
    Tokens,
)
from taskaware.errors import UsageError
from taskaware.models.building import abstract_for
from taskaware.runs.folder import mesh_of
from taskaware.training.strategy import batching_over, first_state, step_on

_PRECISION = 0.02
"""The search ends when a batch larger by this share does not fit."""


class Fit(NamedTuple):
    """The largest batch that fits, and what its shapes need."""

    size: int
    """For ``batching.size``."""
    bytes_by_shape: dict[str, int]
    """Of each shape of batch, the bytes a device needs for a step, state included."""
    limit: int
    """Bytes that a device may use."""


def fit(
    experiment: Experiment,
    tokenizer: Tokenizer,
    limit: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Return the largest ``batching.size`` whose every shape fits into a device's memory.

    Args:
        experiment: its data must be prepared; the search begins at its ``batching.size``.
        tokenizer: the experiment's.
        limit: bytes that a device may use; None for 95 % of its memory.
        tell: called with one line per size that is compiled.

    Raises:
        UsageError: not even one example per task fits.
    """
    limit = int(0.95 * device_memory()) if limit is None else limit
    inventories = read_inventories(experiment.tasks, experiment.model)
    tasks = load_tasks(
        *(experiment.tasks, "train", tokenizer, experiment.batching, experiment.seed),
        inventories=inventories_by_task(experiment.tasks, experiment.model, inventories),
    )
    needs = _Needs(experiment, tokenizer.size, tasks, inventories)
    size = experiment.batching.size
    work = [_work(batch, experiment.model.stride) for batch in needs.batches(size)]
    watched = {work.index(max(work))}  # indices of shapes
    good, bad, needed = 0, size, {}

    def fits(size: int) -> bool:
        batches = needs.batches(size)
        needed[size] = max(needs.bytes(batches[i]) for i in watched)
        tell(f"batching.size {size}: {needed[size] / 2**30:.2f} GiB")
        return needed[size] <= limit

    while fits(bad):
        good, bad = bad, 2 * bad
    while True:
        while bad - good > max(1, _PRECISION * good):
            middle = _between(good, bad, needed, limit)
            good, bad = (middle, bad) if fits(middle) else (good, middle)
        if not good:
            raise UsageError(
                f"batching.size: not even 1 fits into {limit / 2**30:.2f} GiB (it takes "
                f"{needed[bad] / 2**30:.2f}); lower batching.max_seconds or batching.max_tokens, "
                "set model.remat full with model.scan, or split the model over more devices"
            )
        batches = needs.batches(good)
        by_shape = [needs.bytes(batch) for batch in batches]
        if max(by_shape) <= limit:
            return Fit(good, dict(zip(map(_name, batches), by_shape, strict=True)), limit)
        watched.add(by_shape.index(max(by_shape)))
        needed[good] = max(by_shape)
        good, bad = 0, good


def device_memory() -> int:
    """Return a device's memory in bytes; of a CPU device, its share of the machine's."""
    stats = jax.local_devices()[0].memory_stats() or {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(stats.get("bytes_limit", machine / jax.local_device_count()))


def _between(good: int, bad: int, needed: dict[int, int], limit: int) -> int:
    """Return the next size to try: where a line through both reaches the limit, or the middle."""
    if good:
        slope = (needed[bad] - needed[good]) / (bad - good)
        guess = good + int((limit - needed[good]) / slope) if slope > 0 else 0
        margin = max(1, int(_PRECISION * good) // 2)
        return min(max(guess, good + margin), bad - 1)
    return (good + bad) // 2


class _Needs:
    """The device memory of a training step, compiled once per shape of batch."""

    def __init__(
        self,
        experiment: Experiment,
        vocab_size: int,
        tasks: list[TaskExamples],
        inventories: Inventories,
    ):
        model = abstract_for(experiment.tasks, experiment.model, vocab_size, inventories)
        self._experiment, self._tasks = experiment, tasks
        self._mesh = mesh_of(experiment)
        state = jax.eval_shape(lambda params: first_state(experiment, params), nnx.state(model))
        where = state_sharding(self._mesh, state)
        self._state = _placed(state, where)
        self._step = step_on(experiment, model, self._mesh, where)
        self._bytes: dict[str, int] = {}

    def batches(self, size: int) -> list[Batch]:
        """Return a blank batch of each shape, at a ``batching.size``."""
        sized = dataclasses.replace(self._experiment.batching, size=size)
        experiment = dataclasses.replace(self._experiment, batching=sized)
        batching, multiple = batching_over(experiment, row_parts(self._mesh))
        return blank_batches(
            self._tasks,
            batching,
            stride=experiment.model.stride,
            multiple=multiple,
            only=experiment.trained,
        )

    def bytes(self, batch: Batch) -> int:
        """Return the bytes that a device needs for a step on a batch, state included."""
        name = _name(batch)
        if name not in self._bytes:
            split = batch_sharding(self._mesh)
            shapes = _placed(batch, jax.tree.map(lambda _: split, batch))
            with jax.set_mesh(self._mesh):
                memory = self._step.lower(self._state, shapes).compile().memory_analysis()
            assert memory is not None, "every backend that JAX has can tell"
            self._bytes[name] = (
                memory.argument_size_in_bytes
                + memory.output_size_in_bytes
                + memory.temp_size_in_bytes
                - memory.alias_size_in_bytes
            )
        return self._bytes[name]


def _placed(tree: Any, where: Any) -> Any:
    """Return a tree's shapes, each with its sharding."""
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, where
    )


def _name(batch: Batch) -> str:
    """Return a batch's shape in words, equal ones counted: "8 × 96 frames → 12 tokens"."""
    counts: dict[str, int] = {}
    for rows in batch.values():
        kind = "frames" if isinstance(rows.source, Speech) else "tokens"
        _, source, *_ = rows.source[0].shape
        about = f"{source} {kind} → {_target(rows.target)}"
        counts[about] = counts.get(about, 0) + len(rows.counts_B)
    return " + ".join(f"{count} × {about}" for about, count in counts.items())


def _work(batch: Batch, stride: int) -> int:
    """Return a batch's positions, on which its memory mostly depends."""
    work = 0
    for rows in batch.values():
        spoken = isinstance(rows.source, Speech)
        source = rows.source[0].size // (MEL_CHANNELS * stride) if spoken else rows.source[0].size
        work += source + (rows.target[0].size if isinstance(rows.target, Tokens) else 0)
    return work


def _target(target: Target) -> str:
    if isinstance(target, Tokens):
        return f"{target.tokens_BT.shape[1]} tokens"
    names = {Label: "label", Tags: "tags", FrameLabels: "labelled frames", Number: "number"}
    return names[type(target)]
