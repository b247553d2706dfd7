"""What the rows of this table share: four tasks of a base, and a fifth that is added.

The base knows ST, ASR and MT of Table 3, and MT from English into Romanian. Added is ST into
Romanian: speech it has heard, a language that it has written, and never the two together.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config import Experiment, FiLMConfig, Task
from taskaware.workflows.addition import add_task
from taskaware.workflows.first_run import base_experiment

SIZES = "--train 6000 --validation 100 --test 400"
data = {
    "data/toy/data": f"taskaware prepare toy --out {{out}} {SIZES}",
    "data/toy_ro_spoken": f"taskaware prepare toy --out {{out}} {SIZES} --target-language ro",
    "data/toy_de_ro.model": (
        "taskaware vocab --data data/toy/data data/toy_ro_spoken --size 1000 --out {out}"
    ),
}
"""What rows need, and the command that makes each."""


def into_romanian(name: str, source: str, examples: int | None = None) -> Task:
    """Return a task of translation into Romanian."""
    return Task(
        name=name,
        source=source,
        target="translation",
        metric="bleu",
        target_language="ro",
        data=("data/toy_ro_spoken",),
        max_examples=examples,
    )


ADAPTERS = FiLMConfig(kind="adapter", sharing="per_block")


def four_tasks(conditioning: str, film: FiLMConfig | None = None) -> Experiment:
    """Return the experiment of four tasks."""
    base = base_experiment(Path("data/toy"), steps=1800, seed=0)
    return replace(
        base,
        tasks=(*base.tasks, into_romanian("mt_ro", "text")),
        tokenizer="data/toy_de_ro.model",
        model=replace(base.model, conditioning=conditioning, film=film or base.model.film),
    )


def added(row: str, examples: int | None, **options) -> Experiment:
    """Return the experiment that adds the fifth task from some of its examples; None for all.

    Args:
        row: the base's, of four tasks.
        examples: of the fifth.
        options: of ``add_task``.
    """
    base = four_tasks("explicit", ADAPTERS) if row == "adapter" else four_tasks(row)
    task = into_romanian("st_ro", "speech", examples)
    return add_task(base, f"runs/add_task/{row}", task, **options)


def together(conditioning: str) -> Experiment:
    """Return the experiment that learns all five from the start."""
    four = four_tasks(conditioning)
    return replace(four, tasks=(*four.tasks, into_romanian("st_ro", "speech")))
