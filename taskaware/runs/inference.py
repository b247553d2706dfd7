"""Inference with a trained model: task vectors, and the text of every example."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from taskaware.config import Decoding
from taskaware.data.passes import evaluation_batches
from taskaware.data.tasks import TaskExamples
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import Batch
from taskaware.models.seq2seq import Seq2Seq
from taskaware.pretrained.model import digest
from taskaware.pretrained.vectors import TaskVector, TaskVectors
from taskaware.search.answers import as_text, ctc_weight
from taskaware.search.model import Search, make_search

_ROWS = 32
"""Examples embedded together."""


def tell_long(tasks: Sequence[TaskExamples], tell: Callable[[str], None]) -> None:
    """Report how many of each task's examples are longer than training takes, if any are."""
    for examples in tasks:
        if count := int((examples.relative_length > 1).sum()):
            tell(
                f"{examples.task.name}: {count} of {len(examples.rows)} are longer than training "
                "takes (batching.max_seconds, max_tokens); they are decoded in smaller batches"
            )


def example_vectors(
    model: Seq2Seq, examples: TaskExamples, indices: Sequence[int] | None = None
) -> Float[np.ndarray, "B Z"]:
    """Return the task vector of each example, or of those at ``indices`` in ascending order."""
    graphdef, params = nnx.split(model)
    parts, order = [], []
    for chosen, rows in evaluation_batches(examples, size=_ROWS, only=indices):
        vector_BZ = _embed(graphdef, params, {examples.task.name: rows})
        parts.append(np.asarray(vector_BZ)[: len(chosen)])
        order.extend(chosen)
    return np.concatenate(parts)[np.argsort(order)]


def task_vectors(
    model: Seq2Seq, training: Sequence[TaskExamples], counts: Sequence[int], seed: int
) -> TaskVectors | None:
    """Return the tasks' vectors, or None for a model without conditioning (D7).

    Args:
        model: implicit conditioning takes the mean over examples; any other has a row per task.
        training: every task's training examples, in order.
        counts: how many of each task's examples, drawn at random.
        seed: of the draw.
    """
    if model.config.conditioning == "vanilla":
        return None
    random = np.random.default_rng(seed)
    vectors = []
    for examples, count in zip(training, counts, strict=True):
        drawn = random.choice(examples.selection, min(count, len(examples)), replace=False)
        if model.config.conditioning != "implicit":
            drawn = drawn[:1]  # every example of a task has the same vector
        mean_Z = example_vectors(model, examples, np.sort(drawn).tolist()).mean(0)
        ids = tuple(examples.rows[index].id for index in np.sort(drawn))
        name, vector = examples.task.name, tuple(mean_Z.tolist())
        vectors.append(TaskVector(name=name, vector=vector, examples=ids, seed=seed))
    return TaskVectors(model=digest(model), vectors=tuple(vectors))


def decode_tasks(
    model: Seq2Seq,
    tasks: Mapping[int, TaskExamples],
    tokenizer: Tokenizer,
    vectors: TaskVectors | None,
    config: Decoding,
) -> dict[int, list[str]]:
    """Return the text that the model makes of every example, in their order.

    The arguments are those of ``n_best``.
    """
    hypotheses = n_best(model, tasks, tokenizer, vectors, config, 1)
    return {index: [best for (best,) in texts] for index, texts in hypotheses.items()}


def n_best(
    model: Seq2Seq,
    tasks: Mapping[int, TaskExamples],
    tokenizer: Tokenizer,
    vectors: TaskVectors | None,
    config: Decoding,
    count: int,
) -> dict[int, list[list[str]]]:
    """Return the ``count`` best texts of every example, the best first; some may be the same.

    The task vectors are an argument: no TCN runs here. Tasks whose sources have the same shapes
    share one compiled search.

    Args:
        model: trained.
        tasks: examples by the task's index in the experiment.
        tokenizer: the model's.
        vectors: from ``task_vectors``; None for a model without conditioning.
        config: beam, length penalty, lengths.
        count: texts per example, at most the beam size.
    """
    searches: dict[tuple[Any, ...], Search] = {}
    texts: dict[int, list[list[str]]] = {i: [[]] * len(e.rows) for i, e in tasks.items()}
    for index, examples in tasks.items():
        task = examples.task
        kind = {"head": model.head_of(task.name), "ctc_weight": ctc_weight(task, config)}
        if (search := searches.get((*kind.values(),))) is None:
            search = make_search(model, config, config.batch_size, **kind)
            searches[(*kind.values(),)] = search
        for chosen, rows in evaluation_batches(examples, size=config.batch_size):
            vector_BZ = None
            if vectors is not None:
                vector_Z = vectors.named(task.name).array
                vector_BZ = np.tile(vector_Z, (len(rows.counts_B), 1))
            best_BW = np.asarray(search(rows.source, vector_BZ))[:, :count]
            for row, best_W in zip(chosen.tolist(), best_BW, strict=False):
                about = examples.about(row)
                texts[index][row] = [
                    as_text(one, task, tokenizer, examples.inventory, **about) for one in best_W
                ]
    return texts


# Compiled once per shape and task, for all checkpoints of a model.


@functools.partial(jax.jit, static_argnums=0)
def _embed(graphdef: nnx.GraphDef[Seq2Seq], params: nnx.State, batch: Batch):
    model = nnx.merge(graphdef, params)
    return model.task_vector(model.embed(batch), model.task_of_rows(batch))
