"""A t-SNE map of the task vectors of single examples."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from taskaware.errors import UsageError
from taskaware.evaluation.figures import nearest_task, plot_map, separation, tsne
from taskaware.files.whole import write_json
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run, write_text
from taskaware.runs.inference import example_vectors


class Silhouettes(NamedTuple):
    """Mean silhouettes of task vectors, between -1 and 1."""

    task: float
    corpus_within_task: dict[str, float]
    """For tasks whose examples come from several corpora."""


def draw_task_vectors(run: Run, out: Path, split: str = "test", limit: int = 400) -> Silhouettes:
    """Draw the task vectors of held-out examples by t-SNE (paper Fig. 2).

    Writes ``task_embeddings`` as .png, .svg and .csv into ``out``, the silhouettes as .json, and
    ``task_embeddings_by_corpus`` as .png and .svg where a task has several corpora.

    Args:
        run: a trained run of an implicit model.
        out: folder for the files.
        split: the examples are of this one.
        limit: most examples per task and corpus; more are sampled at random.

    Raises:
        UsageError: too few examples to map, or only one task.
    """
    examples = run.examples(split)
    model, _ = restore(run)
    random = np.random.default_rng(run.experiment.seed)
    rows, parts = [], []
    for task in examples:
        only = np.concatenate(
            [
                random.permutation([i for i, row in enumerate(task.rows) if row.corpus == corpus])
                for corpus in sorted({row.corpus for row in task.rows})
            ]
        )
        corpora = [task.rows[i].corpus for i in only]
        only = [int(i) for n, i in enumerate(only) if corpora[:n].count(corpora[n]) < limit]
        parts.append(example_vectors(model, task, sorted(only)))
        rows += [(task.task.name, task.rows[i]) for i in sorted(only)]
    vector_BZ = np.concatenate(parts)
    points_B2 = tsne(vector_BZ, run.experiment.seed)
    tasks = [name for name, _ in rows]
    corpora = [f"{name} {row.corpus}" for name, row in rows]
    silhouettes = Silhouettes(separation(vector_BZ, tasks), {})
    for name in dict.fromkeys(tasks):
        members = [n for n, task in enumerate(tasks) if task == name]
        labels = [corpora[n] for n in members]
        if len(set(labels)) > 1:
            silhouettes.corpus_within_task[name] = separation(vector_BZ[members], labels)
    title = f"task vectors of held-out examples (silhouette {silhouettes.task:.2f})"
    plot_map(points_B2, tasks, out / "task_embeddings", title)
    if silhouettes.corpus_within_task:
        within = ", ".join(
            f"{name} {value:.2f}" for name, value in silhouettes.corpus_within_task.items()
        )
        title = f"by corpus (silhouette within task: {within})"
        plot_map(points_B2, corpora, out / "task_embeddings_by_corpus", title)
    lines = [
        f"{name},{row.corpus},{row.id},{x:.5f},{y:.5f}\n"
        for (name, row), (x, y) in zip(rows, points_B2, strict=True)
    ]
    write_text(out / "task_embeddings.csv", "task,corpus,id,x,y\n" + "".join(lines))
    write_json(out / "task_embeddings.json", silhouettes._asdict())
    return silhouettes


def count_nearest(run: Run, split: str = "test") -> dict[str, dict[str, int]]:
    """Count to which task's vector the vectors of each task's examples are nearest.

    Args:
        run: of an implicit model.
        split: whose examples.

    Returns:
        Of each task, by the name of the nearest one; off the diagonal are examples whose task
        cannot be told from their vector.

    Raises:
        UsageError: the model has no task vectors.
    """
    model, _ = restore(run)
    vectors = vectors_of(run, model)
    if vectors is None:
        raise UsageError(f"{run.folder}: a vanilla model has no task vectors")
    names = [vector.name for vector in vectors.vectors]
    counts = {}
    for examples in run.examples(split):
        nearest_B = nearest_task(example_vectors(model, examples), vectors.array)
        numbers = np.bincount(nearest_B, minlength=len(names)).tolist()
        counts[examples.task.name] = dict(zip(names, numbers, strict=True))
    return counts
