"""What each command about a trained run does."""

import sys
from pathlib import Path
from typing import Literal

import tyro

from taskaware.errors import UsageError
from taskaware.machine import cpu_count, set_up_jax


def evaluate(
    run: tyro.conf.Positional[Path],
    split: str = "test",
    select: Literal["newest", "average", "best", "single", "taskwise"] = "newest",
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
    from taskaware.report import console, results_table, say
    from taskaware.results import score
    from taskaware.run import devices_line, open_run

    opened = open_run(run)
    say(devices_line(opened.experiment))
    console.print(results_table([score(opened, split, select)], opened.experiment.tasks))
    say(f"{run}: results.json, {split}.*.hyp.txt, {split}.*.ref.txt")


def decode(
    run: tyro.conf.Positional[Path],
    task: str,
    split: str = "test",
    vectors: Path | None = None,
    out: Path | None = None,
) -> None:
    """Print or write what a trained run makes of a split, one line an example.

    Args:
        run: folder of taskaware train.
        task: its name in the experiment.
        split: of the prepared data.
        vectors: a file of taskaware embed, whose vector of this task, or only one, is used.
        out: text file; without it the lines are printed.
    """
    set_up_jax()
    from taskaware.results import hypotheses
    from taskaware.run import open_run, write_text

    opened = open_run(run)
    opened.experiment.task(task)
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"{out}: not a file in a folder that exists; choose another --out")
    found = hypotheses(opened, task, split, vectors, lambda line: print(line, file=sys.stderr))
    lines = "".join(line + "\n" for line in found)
    if out is None:
        sys.stdout.write(lines)
    else:
        write_text(out, lines)


def embed(
    run: tyro.conf.Positional[Path],
    split: str = "test",
    examples: int = 0,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Store the tasks' vectors; of an implicit model, draw those of a split's examples by t-SNE.

    Args:
        run: folder of taskaware train.
        split: of the prepared data, whose examples are drawn.
        examples: training examples of each task whose mean is stored; 0 stores the vectors that
            decoding uses.
        seed: of the draw of those examples.
        out: the file of vectors, for taskaware decode --vectors; by default RUN/task_vectors.json.
    """
    set_up_jax()
    from taskaware.results import draw_embeddings, task_vectors
    from taskaware.run import open_run
    from taskaware.training import restore

    opened = open_run(run)
    if opened.experiment.model.conditioning == "vanilla":
        raise UsageError(f"{run}: a vanilla model has no task embeddings to draw")
    if vectors := task_vectors(opened, *restore(opened), examples, seed):
        vectors.save(out or run / "task_vectors.json")
        names = ", ".join(vector.name for vector in vectors.vectors)
        print(f"{out or run / 'task_vectors.json'}: {names}, {vectors.array.shape[1]} numbers each")
    if opened.experiment.model.conditioning != "implicit":
        return  # all examples of a task have the same one: there is nothing to draw
    found = draw_embeddings(opened, run, split)
    print(f"{run}: task_embeddings.png, .svg, .csv; silhouette by task {found.task:.3f}")
    for task, value in found.corpus_within_task.items():
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
    from taskaware import results
    from taskaware.report import console, forgetting_table
    from taskaware.run import open_run

    out.mkdir(parents=True, exist_ok=True)
    console.print(
        forgetting_table(results.forgetting(open_run(base), [open_run(t) for t in tuned], out))
    )


def share(
    run: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    select: Literal["newest", "average", "best", "single"] = "newest",
    task: str = "",
    push: str = "",
) -> None:
    """Write a trained run as a model that others can load: weights, vocabulary, vectors, a card.

    Args:
        run: folder of taskaware train.
        out: the new folder; taskaware.from_pretrained reads it.
        select: which checkpoint, as in taskaware evaluate.
        task: share this one alone, its vector folded into the weights: as small and as fast as a
            model without FiLM. Exact in post-norm models; others are refused.
        push: owner/name on the Hugging Face hub, where it is uploaded too; a new one is private.
    """
    set_up_jax()
    from taskaware import share as sharing
    from taskaware.run import open_run

    shared = sharing.pretrained(open_run(run), select, task)
    shared.save_pretrained(out)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if push:
        print(f"{out}: uploaded to {shared.push_to_hub(push)}")


def export(
    model: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    task: str,
    source_length: int,
    max_length: int,
    rows: int = 1,
) -> None:
    """Write a task of a shared model as two StableHLO programs that need JAX alone.

    Args:
        model: folder of taskaware share.
        out: folder for encode.stablehlo, step.stablehlo, export.json and tokenizer.model.
        task: its name.
        source_length: frames of 10 ms, or tokens, that a source may have.
        max_length: tokens that may be written.
        rows: sources that are encoded together.
    """
    set_up_jax()
    from taskaware import export as exporting
    from taskaware.pretrained import from_pretrained

    lengths = {"source_length": source_length, "max_length": max_length, "rows": rows}
    for name, value in lengths.items():
        if value < 1:
            raise UsageError(f"{name}: expected 1 or more, found {value}")
    exporting.export(from_pretrained(model), task, out, **lengths)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")


def pseudo_label(
    data: tyro.conf.Positional[Path],
    teachers: tuple[str, ...],
    out: Path,
    top: int = 2,
    split: str = "train",
) -> None:
    """Translate the transcripts of prepared speech by trained models: speech translation data.

    Args:
        data: folder of taskaware prepare, with speech and transcripts.
        teachers: a run folder and the name of its text task, as in runs/mt:en_de; one or more.
        out: the new folder; every utterance stands in it once for each translation.
        top: how many of the beam's best each model gives; equal ones are kept once.
        split: what is translated.
    """
    pairs = [teacher.rpartition(":")[::2] for teacher in teachers]
    for run, task in pairs:
        if not run or not task:
            raise UsageError(f"teachers: expected RUN:TASK, found {':'.join((run, task))!r}")
    set_up_jax()
    from taskaware.data.corpora.check import summarize
    from taskaware.pseudo_label import pseudo_label as label
    from taskaware.report import console, corpus_table, shard_counter
    from taskaware.run import open_run

    opened = [(open_run(Path(run)), task) for run, task in pairs]
    with shard_counter("writing translations") as tell:
        corpus = label(data, opened, out, top=top, split=split, workers=cpu_count(), on_shard=tell)
    console.print(corpus_table(summarize(corpus)))


ALL = (evaluate, decode, embed, forgetting, share, export, pseudo_label)
