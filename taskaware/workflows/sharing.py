"""A trained run as a model to share, with a card of its data, scores and limits."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from flax import nnx

from taskaware.config import Task
from taskaware.data.audio.features import SAMPLE_RATE
from taskaware.data.corpora.base import PreparedCorpus, Row
from taskaware.data.tasks import serves
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.by_name import metric
from taskaware.evaluation.results import Selection, stored_results
from taskaware.evaluation.selection import choose
from taskaware.evaluation.tables import number
from taskaware.files.whole import read_json
from taskaware.models.folding import fold_task
from taskaware.models.seq2seq import Seq2Seq
from taskaware.models.subset import keep_tasks, kept_columns
from taskaware.pretrained.model import Pretrained, digest
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run
from taskaware.training.state import count_parameters


def shareable(run: Run, selection: Selection = "newest", task: str | None = None) -> Pretrained:
    """Return a run's model, vocabulary, task vectors and card, without auxiliary tasks.

    Args:
        run: a trained run.
        selection: of checkpoints; it must choose the same ones for every task.
        task: fold this task's vector into the weights and leave out the other tasks.

    Raises:
        UsageError: the selection differs between tasks, or the task cannot be folded.
    """
    steps, *others = dict.fromkeys(choose(run, selection))
    if others:
        raise UsageError(
            f"{run.folder}: {selection} takes checkpoints {steps} and {others[0]} for different "
            "tasks; share newest, average or single"
        )
    model, _ = restore(run, steps)
    tasks, vectors, inventories = run.experiment.tasks, vectors_of(run, model), run.inventories
    if task is not None:
        tasks = (run.experiment.task(task),)
        vector_Z = np.zeros(0) if vectors is None else vectors.named(task).array
        model, vectors = fold_task(model, vector_Z, tasks[0]), None
    elif 0 < len(main := tuple(one for one in tasks if one.role == "main")) < len(tasks):
        tasks, whole = main, model
        model = keep_tasks(whole, tasks, inventories)
        if vectors is not None:
            vectors = vectors.of(
                [one.name for one in tasks], kept_columns(whole, model), digest(model)
            )
    inventories = {name: one for name, one in inventories.items() if name in model.heads}
    card = model_card(run, model, steps, tasks)
    limits = run.experiment.batching
    return Pretrained(
        model,
        tasks,
        run.tokenizer,
        vectors,
        run.experiment.decoding,
        card,
        limits.max_seconds if math.isfinite(limits.max_seconds) else None,
        limits.max_tokens,
        inventories,
    )


def model_card(run: Run, model: Seq2Seq, steps: tuple[int, ...], tasks: tuple[Task, ...]) -> str:
    """Return Markdown: how to use it, tasks and data, scores with their signatures, limits.

    Scores are those that ``taskaware evaluate`` has stored for the same checkpoints.
    """
    experiment = run.experiment
    languages, names = _languages(tasks), [other.name for other in experiment.tasks]
    folded = (
        ""
        if len(tasks) == len(names)
        else f", one of {', '.join(names)} and folded into the weights"
    )
    trained = [names[index] for index in experiment.trained]
    about = read_json(run.folder / "environment.json", {"packages": {}, "commit": None})
    packages = ("taskaware", "jax", "flax")
    versions = ", ".join(f"{name} {about['packages'].get(name, '?')}" for name in packages)
    batches = " and ".join(f"{step:,}" for step in steps)
    front = {"library_name": "taskaware", "language": languages, "tags": ["taskaware", "jax"]}
    return "\n".join(
        [
            "---",
            *[f"{key}: {json.dumps(value)}" for key, value in front.items()],  # JSON is YAML
            "---",
            "",
            f"# {run.folder.resolve().name}",
            "",
            f"One Transformer for {', '.join(task.name for task in tasks)}: "
            f"{count_parameters(nnx.state(model)):,} parameters, {experiment.model.conditioning} "
            f"conditioning{folded}. {experiment.strategy} learning, seed {experiment.seed}, "
            f"checkpoint of batch {batches}; {versions}; commit {about['commit'] or 'not known'}.",
            "",
            "```python",
            "from taskaware import from_pretrained",
            "",
            'model = from_pretrained("FOLDER")  # or owner/name of the hub, download=True',
            *[
                f'model([{_EXAMPLE[task.source]}], task="{task.name}")  # {_output(task)}'
                for task in tasks
            ],
            "```",
            "",
            "## Tasks and data",
            "",
            "| task | from | to | trained on |",
            "|---|---|---|---|",
            *[
                f"| {task.name} | {task.source}, {task.source_language or 'any language'} | "
                f"{_output(task)} | {_data(task) if task.name in trained else '–'} |"
                for task in tasks
            ],
            "",
            *(["Training began with another run's parameters."] if experiment.start_from else []),
            "## Scores",
            "",
            *_scores(run, steps, tasks),
            "",
            "## Limits",
            "",
            f"- It knows {', '.join(languages)} from the data above and no other; other speakers, "
            "microphones, noise and subjects than theirs were not measured.",
            f"- Training left out speech longer than {experiment.batching.max_seconds:g} s and "
            f"texts longer than {experiment.batching.max_tokens} tokens.",
            "- Scores are of one seed, and automatic: no person has judged the outputs. It writes "
            "something for any input, silence too.",
            "- Its license, and what the licenses of its data allow, are for who shares it to say.",
            "",
        ]
    )


_EXAMPLE = {"speech": "samples", "text": '"a sentence"'}  # samples: 16 kHz, mono, int16


def _languages(tasks: Sequence[Task]) -> list[str]:
    names = {name for task in tasks for name in (task.source_language, task.output_language)}
    return sorted(names - {""})


def _output(task: Task) -> str:
    return f"{task.target}, {task.column or task.output_language}"


def _data(task: Task) -> str:
    """Return a task's training data in words; of paths, the last folder's name alone."""
    rows: list[Row] = []
    for folder in task.data:
        try:
            rows += PreparedCorpus(folder).rows("train")
        except UsageError:
            return (
                f"{', '.join(Path(f).name for f in task.data)} (not at hand when this was written)"
            )
    examples = [row for row in rows if serves(row, task)]
    hours = sum(row.num_samples for row in examples) / SAMPLE_RATE / 3600
    corpora = Counter(row.corpus for row in examples).most_common()
    listed = ", ".join(f"{count:,} of {name or 'no corpus named'}" for name, count in corpora)
    return f"{listed}" + (f" ({hours:.1f} h)" if task.source == "speech" else "")


def _scores(run: Run, steps: tuple[int, ...], tasks: tuple[Task, ...]) -> list[str]:
    """Return a table of the stored scores of these checkpoints, with their signatures."""
    rows = [row for row in stored_results(run.folder) if {*row.checkpoints.values()} == {steps}]
    if not rows:
        return ["None: `taskaware evaluate` has not been run on this checkpoint."]
    lines = ["| split | task | metric | score | confusion % |", "|---|---|---|---|---|"]
    signatures, left_out = set(), []
    for row in rows:
        for task in tasks:
            for name, measured in row.scores.get(task.name, {}).items():
                title = metric(name).title
                cells = [row.split, task.name, title, number(measured.value)]
                lines.append(f"| {' | '.join(cells)} | {number(row.confusion.get(task.name))} |")
                if measured.signature:
                    signatures.add(f"{title}: `{measured.signature}`")
                if measured.left_out:
                    left_out.append(f"{measured.left_out:,} of {task.name} ({row.split})")
    unscored = f"References that hold nothing to score left out: {', '.join(left_out)}. "
    decoding = rows[-1].decoding
    return [
        *lines,
        "",
        f"{'; '.join(sorted(signatures)) or 'No score'}. {unscored if left_out else ''}"
        f"Beam {decoding.beam_size}, length penalty "
        f"{decoding.length_penalty}. Confusion is the share of outputs nearer to another task's "
        "reference for the same input than to their own.",
    ]
