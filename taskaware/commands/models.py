"""Commands that write models and data for others: share, export, pseudo-label."""

from pathlib import Path

import tyro

from taskaware.devices.machine import cpu_count, set_up_jax
from taskaware.errors import UsageError
from taskaware.evaluation.results import Selection


def share(
    run: tyro.conf.Positional[Path],
    out: tyro.conf.Positional[Path],
    select: Selection = "newest",
    task: str | None = None,
    push: str | None = None,
) -> None:
    """Write a trained run as a model that others can load: weights, vocabulary, vectors, a card.

    Args:
        run: folder of taskaware train.
        out: the new folder; taskaware.from_pretrained reads it.
        select: which checkpoint, as in taskaware evaluate; it must be the same for every task.
        task: share this task alone, its vector folded into the weights: as small and as fast as a
            model without FiLM. Exact in post-norm models; others are refused.
        push: owner/name on the Hugging Face hub, to upload it there too; a new one is private.
    """
    set_up_jax()
    from taskaware.runs.folder import Run
    from taskaware.workflows.sharing import shareable

    shared = shareable(Run.open(run), select, task)
    shared.save_pretrained(out)
    print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    if push is not None:
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
        max_length: tokens that an output may have.
        rows: sources that are encoded together.
    """
    set_up_jax()
    from taskaware.pretrained import exporting
    from taskaware.pretrained.model import from_pretrained

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
        out: the new folder; it has each utterance once per translation.
        top: how many of the beam's best translations each model gives; equal ones are kept once.
        split: the one that is translated.
    """
    pairs = [teacher.rpartition(":")[::2] for teacher in teachers]
    for run, task in pairs:
        if not run or not task:
            raise UsageError(f"teachers: expected RUN:TASK, found {':'.join((run, task))!r}")
    set_up_jax()
    from taskaware.data.corpora.summary import summarize
    from taskaware.evaluation.tables import corpus_table
    from taskaware.runs.console import console, shard_counter
    from taskaware.runs.folder import Run
    from taskaware.workflows.pseudo_labels import pseudo_label as label

    opened = [(Run.open(Path(run)), task) for run, task in pairs]
    with shard_counter("writing translations") as tell:
        corpus = label(data, opened, out, top=top, split=split, workers=cpu_count(), on_shard=tell)
    console.print(corpus_table(summarize(corpus)))
