"""Ask what a trained encoder still tells: a linear classifier, trained anew on its frozen output.

    python experiments/heads/probe.py RUN COLUMN SPLIT
    python experiments/heads/probe.py runs/fsdd-adversarial speaker test
    python experiments/heads/probe.py runs/emodb-adversarial speaker test --within

The classifier is logistic regression on the mean of the encoder's valid positions, which is what
the head of a label reads. It learns from the run's training examples and prints its accuracy on
SPLIT beside chance, the share there of the label that is most frequent in training. An adversarial
task has done its work once the two are the same: its own head says less, since the encoder can win
against one head and still tell another. Beside them stands which share of the features' variance is
between labels; it can be small where a classifier needs no more. A label that training lacks counts
as an error; ``--within`` learns from SPLIT itself, each fifth of it from the others, so that it can
ask whether people whom training has not heard are told apart.
"""

import argparse
import collections
import functools
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taskaware.data.passes import evaluation_batches
from taskaware.errors import UsageError
from taskaware.models.seq2seq import Seq2Seq
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run

_ROWS = 32
"""Examples encoded together."""


def main() -> None:
    """Print a probe's accuracy and chance."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of taskaware train")
    parser.add_argument("column", help="of the data's labels: what is asked for")
    parser.add_argument("split", help="of the data, such as test")
    parser.add_argument(
        "--task", help="whose examples are encoded, as its vector modulates; the first by default"
    )
    parser.add_argument("--within", action="store_true", help="learn from the rest of SPLIT")
    options = parser.parse_args()
    run = Run.open(options.run)
    task = options.task or run.experiment.tasks[0].name
    run.experiment.task(task)
    model, _ = restore(run)
    held_X, held_Y = encoded(run, model, task, options.split, options.column)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    if options.within:
        train_Y, folds = held_Y, StratifiedKFold(5, shuffle=True, random_state=0)
        answers = cross_val_predict(probe, held_X, held_Y, cv=folds)
    else:
        train_X, train_Y = encoded(run, model, task, "train", options.column)
        answers = probe.fit(train_X, train_Y).predict(held_X)
    most, _ = collections.Counter(train_Y).most_common(1)[0]
    print(
        f"{options.column} from the encoder's output for task {task}: accuracy "
        f"{np.mean(answers == np.array(held_Y)):.1%}, chance "
        f"{held_Y.count(most) / len(held_Y):.1%} of {len(held_Y)} ({options.split}); "
        f"{between(held_X, held_Y):.1%} of the variance between labels"
    )


def encoded(
    run: Run, model: Seq2Seq, task: str, split: str, column: str
) -> tuple[np.ndarray, list[str]]:
    """Return the pooled encoder output of a task's examples that have a label, and the labels."""
    (examples,) = run.examples(split, only=task)
    labels = [row.labels.get(column, "") for row in examples.rows]
    if not any(labels):
        raise UsageError(
            f"{column}: expected a column of labels of task {task!r} in split {split!r}, found "
            f"{', '.join(examples.rows[0].labels) or 'none'}"
        )
    vectors = vectors_of(run, model)
    vector_Z = None if vectors is None else vectors.named(task).array
    graphdef, params = nnx.split(model)
    features, chosen_labels = [], []
    for chosen, rows in evaluation_batches(examples, size=_ROWS):
        vector_BZ = None if vector_Z is None else np.tile(vector_Z, (len(rows.counts_B), 1))
        mean_BD = np.asarray(_pooled(graphdef, params, rows.source, vector_BZ))
        for row, mean_D in zip(chosen.tolist(), mean_BD, strict=False):
            if labels[row]:
                features.append(mean_D)
                chosen_labels.append(labels[row])
    return np.stack(features), chosen_labels


def between(features: np.ndarray, labels: list[str]) -> float:
    """Return the share of the variance that is between labels, as the mean over features."""
    values, places = np.unique(labels, return_inverse=True)
    means = np.stack([features[places == place].mean(0) for place in range(len(values))])
    return float(np.mean(means[places].var(0) / features.var(0)))


@functools.partial(jax.jit, static_argnums=0)
def _pooled(graphdef: Any, params: Any, source: Any, vector_BZ: Any) -> jax.Array:
    model = nnx.merge(graphdef, params)
    memory = model.encode(*model.embed_source(source), vector_BZ)
    memory_BSD, mask_BS1 = memory.memory_BSD, memory.mask_BS[..., None]
    return jnp.sum(memory_BSD * mask_BS1, 1) / jnp.sum(mask_BS1, 1)


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(str(error))
