"""The largest batch that fits into a device's memory, foretold from compiled programs.

Nothing is tried and nothing crashes: XLA says what a compiled step will need before it runs.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx

from taskaware.config import Experiment
from taskaware.data.blanks import blank_batches
from taskaware.data.tasks import TaskExamples, load_tasks
from taskaware.data.tokenizer import Tokenizer
from taskaware.devices.sharding import batch_sharding, row_parts, state_sharding
from taskaware.dims import MEL_CHANNELS, Batch, Speech
from taskaware.errors import UsageError
from taskaware.models.building import abstract_for
from taskaware.runs.folder import mesh_of
from taskaware.training.strategy import batching_over, first_state, step_on

_PRECISION = 0.02
"""The next larger batch that is known not to fit is at most this part larger."""


class Fit(NamedTuple):
    """What fits."""

    size: int
    """For ``batching.size``."""
    bytes_by_shape: dict[str, int]
    """Of each shape of batch, what a device needs for a step, state included."""
    limit: int


def fit(
    experiment: Experiment,
    tokenizer: Tokenizer,
    limit: int | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Return the largest ``batching.size`` whose every shape fits into a device's memory.

    Args:
        experiment: whose data are there; its own size is where the search begins.
        tokenizer: of it.
        limit: bytes that a device may use; None takes what it has, and 5 % less.
        tell: called with a line for each size that is looked at.

    Raises:
        UsageError: not even one example per task fits.
    """
    limit = int(0.95 * device_memory()) if limit is None else limit
    tasks = load_tasks(experiment.tasks, "train", tokenizer, experiment.batching, experiment.seed)
    needs = _Needs(experiment, tokenizer.size, tasks)
    size = experiment.batching.size
    work = [_work(batch, experiment.model.stride) for batch in needs.batches(size)]
    watched = {work.index(max(work))}  # shapes, by their places
    good, bad, known = 0, size, {}

    def fits(size: int) -> bool:
        batches = needs.batches(size)
        known[size] = max(needs.bytes(batches[i]) for i in watched)
        tell(f"batching.size {size}: {known[size] / 2**30:.2f} GiB")
        return known[size] <= limit

    while fits(bad):
        good, bad = bad, 2 * bad
    while True:
        while bad - good > max(1, _PRECISION * good):
            middle = _between(good, bad, known, limit)
            good, bad = (middle, bad) if fits(middle) else (good, middle)
        if not good:
            raise UsageError(
                f"batching.size: not even 1 fits into {limit / 2**30:.2f} GiB (it takes "
                f"{known[bad] / 2**30:.2f}); lower batching.max_seconds or batching.max_tokens, "
                "set model.remat full with model.scan, or split the model over more devices"
            )
        batches = needs.batches(good)
        found = [needs.bytes(batch) for batch in batches]
        if max(found) <= limit:
            return Fit(good, dict(zip(map(_name, batches), found, strict=True)), limit)
        watched.add(found.index(max(found)))
        known[good] = max(found)
        good, bad = 0, good


def device_memory() -> int:
    """Return the bytes of memory of a device; of CPUs, of the machine."""
    stats = jax.local_devices()[0].memory_stats() or {}
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(stats.get("bytes_limit", machine / jax.local_device_count()))


def _between(good: int, bad: int, known: dict[int, int], limit: int) -> int:
    """Return where a straight line through two sizes reaches the limit, or the middle."""
    if good:
        slope = (known[bad] - known[good]) / (bad - good)
        guess = good + int((limit - known[good]) / slope) if slope > 0 else 0
        margin = max(1, int(_PRECISION * good) // 2)
        return min(max(guess, good + margin), bad - 1)
    return (good + bad) // 2


class _Needs:
    """What a step needs on a device for batches of any size."""

    def __init__(self, experiment: Experiment, vocab_size: int, tasks: list[TaskExamples]):
        model = abstract_for(experiment.tasks, experiment.model, vocab_size)
        self._experiment, self._tasks = experiment, tasks
        self._mesh = mesh_of(experiment)
        state = jax.eval_shape(lambda params: first_state(experiment, params), nnx.state(model))
        where = state_sharding(self._mesh, state)
        self._state = _placed(state, where)
        self._step = step_on(experiment, model, self._mesh, where)
        self._found: dict[str, int] = {}

    def batches(self, size: int) -> list[Batch]:
        """Return a batch of each shape, of that size."""
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
        """Return what a device needs for a step on a batch, state included."""
        name = _name(batch)
        if name not in self._found:
            split = batch_sharding(self._mesh)
            given = _placed(batch, jax.tree.map(lambda _: split, batch))
            with jax.set_mesh(self._mesh):
                memory = self._step.lower(self._state, given).compile().memory_analysis()
            assert memory is not None, "every backend that JAX has can tell"
            self._found[name] = (
                memory.argument_size_in_bytes
                + memory.output_size_in_bytes
                + memory.temp_size_in_bytes
                - memory.alias_size_in_bytes
            )
        return self._found[name]


def _placed(tree: Any, where: Any) -> Any:
    """Return the shapes of arrays that lie where it is said."""
    return jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, where
    )


def _name(batch: Batch) -> str:
    """Return what a batch is, tasks of the same shape together: "8 × 96 frames → 12 tokens"."""
    counts: dict[str, int] = {}
    for rows in batch.values():
        kind = "frames" if isinstance(rows.source, Speech) else "tokens"
        _, source, *_ = rows.source[0].shape
        about = f"{source} {kind} → {rows.target.tokens_BT.shape[1]} tokens"
        counts[about] = counts.get(about, 0) + len(rows.counts_B)
    return " + ".join(f"{count} × {about}" for about, count in counts.items())


def _work(batch: Batch, stride: int) -> int:
    """Return about how much work a batch is, in positions: the most of it needs the most memory."""
    work = 0
    for rows in batch.values():
        spoken = isinstance(rows.source, Speech)
        source = rows.source[0].size // (MEL_CHANNELS * stride) if spoken else rows.source[0].size
        work += source + rows.target.tokens_BT.size
    return work
