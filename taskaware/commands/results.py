"""Commands about a trained run: evaluate, decode, embed, forgetting."""

import sys
from pathlib import Path

import tyro

from taskaware.devices.machine import set_up_jax
from taskaware.errors import UsageError
from taskaware.evaluation.results import Selection


def evaluate(
    run: tyro.conf.Positional[Path],
    split: str = "test",
    select: Selection = "newest",
) -> None:
    """Decode a split with a trained run, score every task, print and store the row.

    Args:
        run: folder of taskaware train.
        split: of the prepared data.
        select: which checkpoint: the newest; the mean of the newest that the run keeps; the best by
            the validation loss that training measured; the single one that is best for all tasks by
            its scores on the validation split; or each task's best one there.
    """
    set_up_jax()
    from taskaware.evaluation.scoring import evaluate as evaluate_run
    from taskaware.evaluation.tables import results_table
    from taskaware.runs.console import console, say
    from taskaware.runs.folder import Run, devices_line

    opened = Run.open(run)
    say(devices_line(opened.experiment))
    console.print(results_table([evaluate_run(opened, split, select)], opened.experiment.tasks))
    say(f"{run}: results.json, {split}.*.hyp.txt, {split}.*.ref.txt")


def decode(
    run: tyro.conf.Positional[Path],
    task: str,
    split: str = "test",
    vectors: Path | None = None,
    out: Path | None = None,
) -> None:
    """Print or write a trained run's outputs for a split, one line per example.

    Args:
        run: folder of taskaware train.
        task: its name in the experiment.
        split: of the prepared data.
        vectors: a file of taskaware embed, whose vector of this task, or only one, is used.
        out: text file; without it the lines are printed.
    """
    set_up_jax()
    from taskaware.evaluation.outputs import hypotheses
    from taskaware.runs.folder import Run, write_text

    opened = Run.open(run)
    opened.experiment.task(task)
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"{out}: not a file in a folder that exists; choose another --out")
    texts = hypotheses(opened, task, split, vectors, lambda line: print(line, file=sys.stderr))
    lines = "".join(line + "\n" for line in texts)
    if out is None:
        sys.stdout.write(lines)
    else:
        write_text(out, lines)


def embed(
    run: tyro.conf.Positional[Path],
    split: str = "test",
    examples: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Store the tasks' vectors; of an implicit model, draw those of a split's examples by t-SNE.

    Args:
        run: folder of taskaware train.
        split: of the prepared data, whose examples are drawn in the map.
        examples: training examples of each task whose mean is stored; without it, the vectors that
            decoding uses.
        seed: of the choice of those examples.
        out: the file of vectors, for taskaware decode --vectors; by default RUN/task_vectors.json,
            and with --examples 8 RUN/task_vectors.8_examples.seed_0.json.
    """
    set_up_jax()
    from taskaware.evaluation.vector_map import draw_task_vectors
    from taskaware.runs.checkpoints import VECTORS, restore, vectors_of
    from taskaware.runs.folder import Run
    from taskaware.runs.inference import task_vectors

    if examples is not None and examples < 1:
        raise UsageError(f"examples: expected 1 or more, found {examples}")
    opened = Run.open(run)
    if opened.experiment.model.conditioning == "vanilla":
        raise UsageError(f"{run}: a vanilla model has no task vectors")
    model, _ = restore(opened)
    if examples is None:
        vectors, path = vectors_of(opened, model), run / VECTORS
    else:
        training = opened.examples("train")
        vectors = task_vectors(model, training, [examples] * len(training), seed)
        path = run / f"task_vectors.{examples}_examples.seed_{seed}.json"
    if vectors is not None:
        vectors.save(out or path)
        names = ", ".join(vector.name for vector in vectors.vectors)
        print(f"{out or path}: {names}, {vectors.array.shape[1]} numbers each")
    if opened.experiment.model.conditioning != "implicit":
        return  # all examples of a task have the same one: there is nothing to draw
    silhouettes = draw_task_vectors(opened, run, split)
    print(f"{run}: task_embeddings.png, .svg, .csv; silhouette by task {silhouettes.task:.3f}")
    for task, value in silhouettes.corpus_within_task.items():
        print(f"{run}: silhouette by corpus within {task} {value:.3f}")


def forgetting(
    base: tyro.conf.Positional[Path], tuned: tyro.conf.Positional[tuple[Path, ...]], out: Path
) -> None:
    """Score every task before and after fine-tuning; print, draw and store what was forgotten.

    Args:
        base: folder of the run before.
        tuned: folders of runs that started from it, each trained on some of its tasks.
        out: folder for forgetting.json, .png and .svg.
    """
    set_up_jax()
    from taskaware.evaluation import transfer
    from taskaware.evaluation.tables import forgetting_table
    from taskaware.runs.console import console
    from taskaware.runs.folder import Run

    out.mkdir(parents=True, exist_ok=True)
    console.print(
        forgetting_table(transfer.forgetting(Run.open(base), [Run.open(t) for t in tuned], out))
    )
