"""Dry run: how large a training is, what it needs, what is missing and which command makes it."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from flax import nnx

from taskaware.config import Batching, Experiment, Task
from taskaware.config.wiring import Inventory, head_of
from taskaware.data.audio.features import SAMPLE_RATE, num_frames
from taskaware.data.batches import rows_per_batch
from taskaware.data.corpora.base import PreparedCorpus, Row
from taskaware.data.inventories import read_inventories
from taskaware.data.targets import output_text
from taskaware.data.tasks import folders_with, nothing_serves, nothing_short, serves
from taskaware.data.tokenizer import Tokenizer
from taskaware.devices.sharding import row_parts
from taskaware.dims import FRAMES_PER_SECOND
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.by_name import metric
from taskaware.models.building import abstract_for
from taskaware.modulation.affine import TCNParam
from taskaware.runs.console import say
from taskaware.runs.folder import Run, devices_line, has_begun, mesh_of
from taskaware.runs.warm_start import refuse_other_parameters
from taskaware.training.checkpoint import anything_saved
from taskaware.training.state import count_parameters
from taskaware.training.strategy import batching_over, first_state

PAPER_VOCABULARY = 32_000
"""Tokens of the paper's vocabulary (§3.2): taken where there is no tokenizer to ask."""


class Finding(NamedTuple):
    """One thing that training needs, and whether it is there."""

    what: str
    detail: str
    present: bool = True
    command: str | None = None
    """Makes it, if it is missing and a command can."""


def dry_run(experiment: Experiment, folder: Path, recipes: Mapping[str, str]) -> None:
    """Print what training would need, on one page; nothing is trained and nothing written.

    Args:
        experiment: to be trained.
        folder: of its run.
        recipes: commands by the folder or tokenizer that they make.

    Raises:
        UsageError: after the page, if anything is missing.
    """
    recipes = {str(Path(out)): command for out, command in recipes.items()}
    findings: list[Finding] = []
    devices = _devices(experiment, findings)
    examples = {}
    for split in _splits(experiment):
        examples[split] = _data(experiment, split, recipes, findings)
    tokenizer = _tokenizer(experiment, recipes, findings)
    params = _model(experiment, tokenizer, findings)
    begun = _folder(experiment, folder, tokenizer, findings)
    if experiment.start_from is not None and not begun:
        findings.append(_start(experiment, Path(experiment.start_from), tokenizer, params))
    for what, detail, present, command in findings:
        say(f"{'found  ' if present else 'MISSING'} {what}: {detail}")
        if command:
            say(f"        {command}")
    say(f"steps   {_steps(experiment, examples['train'], devices)}")
    if missing := [finding.what for finding in findings if not finding.present]:
        raise UsageError(
            f"{folder}: cannot be trained, missing {', '.join(missing)}; the dry run's page says "
            "what to do about each"
        )


def _tokenizer(
    experiment: Experiment, recipes: Mapping[str, str], findings: list[Finding]
) -> Tokenizer | None:
    path = experiment.tokenizer
    what = f"tokenizer {path}"
    try:
        tokenizer = Tokenizer.load(Path(path))
    except UsageError as error:
        folders = dict.fromkeys(folder for task in experiment.tasks for folder in task.data)
        general = f"taskaware vocab --data {' '.join(folders) or 'DATA'} --out {path}"
        command = recipes.get(str(Path(path)), general)
        findings.append(Finding(what, _without(path, error), False, command))
        return None
    findings.append(Finding(what, f"{tokenizer.size:,} tokens"))
    return tokenizer


def _model(
    experiment: Experiment, tokenizer: Tokenizer | None, findings: list[Finding]
) -> nnx.State:
    """Return the parameters' shapes, without computing parameters."""
    vocabulary = tokenizer.size if tokenizer else PAPER_VOCABULARY
    inventories = _inventories(experiment)
    params = nnx.state(abstract_for(experiment.tasks, experiment.model, vocabulary, inventories))
    state = jax.eval_shape(lambda params: first_state(experiment, params), params)
    sizes = [leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state[1:3])]
    model = experiment.model
    detail = (
        f"{model.conditioning}, {model.encoder_layers} + {model.decoder_layers} layers, "
        f"d_model {model.d_model}, vocabulary {vocabulary:,}"
        f"{'' if tokenizer else ' (assumed: there is no tokenizer to ask)'}: "
        f"{count_parameters(params):,} parameters, "
        f"{count_parameters(params, TCNParam):,} of the TCN; "
        f"{sum(sizes):,} bytes ({sum(sizes) / 2**30:.2f} GiB) with Adam's state"
    )
    findings.append(Finding("model", detail))
    return params


def _inventories(experiment: Experiment) -> dict[str, Inventory]:
    """Return what the heads can answer, or one value each where data is missing."""
    try:
        return read_inventories(experiment.tasks, experiment.model)
    except UsageError:  # the data's own finding says so
        heads = [head_of(task, experiment.model) for task in experiment.tasks]
        return {head.name: Inventory(values=("?",)) for head in heads}


def _devices(experiment: Experiment, findings: list[Finding]) -> int:
    """Return the number of devices over which a batch's rows are split, or would be."""
    try:
        mesh = mesh_of(experiment)
    except UsageError as error:
        findings.append(Finding("devices", _without("mesh", error), False))
        return (experiment.mesh_data or 1) * experiment.mesh_fsdp
    findings.append(Finding("devices", devices_line(experiment, mesh)))
    return row_parts(mesh)


def _folder(
    experiment: Experiment, folder: Path, tokenizer: Tokenizer | None, findings: list[Finding]
) -> bool:
    """Return whether the run has been begun, so that training would go on with it."""
    what = f"run folder {folder}"
    try:
        begun = has_begun(experiment, folder, tokenizer)
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK)):
            raise UsageError(f"{there} is not a folder to write in; choose another --out")
    except UsageError as error:
        findings.append(Finding(what, _without(folder, error), False))
        return False
    detail = "begun; training goes on from its newest checkpoint" if begun else "free"
    findings.append(Finding(what, detail))
    return begun


def _start(
    experiment: Experiment, path: Path, tokenizer: Tokenizer | None, params: nnx.State
) -> Finding:
    """Check the run whose parameters this one begins with."""
    what = f"start_from {path}"
    command = f"taskaware train EXPERIMENT --out {path}"
    try:
        base = Run.open(path)
        if not anything_saved(path / "checkpoints"):
            return Finding(what, "no checkpoint; train it first", False, command)
    except UsageError as error:
        return Finding(what, _without(path, error), False, command)
    try:
        if tokenizer is not None:
            refuse_other_parameters(base, experiment, tokenizer, params)
    except UsageError as error:
        return Finding(what, _without(path, error), False)
    return Finding(what, "it has a checkpoint")


def _splits(experiment: Experiment) -> list[str]:
    """Return the splits that training reads, and ``test`` if all tasks have it by now."""
    splits = ["train", "validation"] if experiment.validate_every else ["train"]
    with contextlib.suppress(UsageError):
        if all(
            any("test" in PreparedCorpus(folder).splits for folder in task.data)
            for task in experiment.tasks
        ):
            splits.append("test")
    return splits


def _data(
    experiment: Experiment, split: str, recipes: Mapping[str, str], findings: list[Finding]
) -> dict[str, int]:
    """Return the number of examples per task, for tasks whose folders are all there."""
    corpora: dict[str, PreparedCorpus] = {}
    for folder in {folder for task in experiment.tasks for folder in task.data}:
        with contextlib.suppress(UsageError):
            corpora[folder] = PreparedCorpus(folder)
    used = {task.name: folders_with(split, task, corpora) for task in experiment.tasks}
    rows: dict[str, list[Row]] = {}
    for folder in dict.fromkeys(folder for folders in used.values() for folder in folders):
        users = [task for task in experiment.tasks if folder in task.data]
        what = f"data folder {folder}" if split == "train" else f"{split} of data folder {folder}"
        try:
            rows[folder] = (corpora.get(folder) or PreparedCorpus(folder)).rows(split)
        except UsageError as error:
            command = recipes.get(str(Path(folder))) or _recipe(folder, users)
            findings.append(Finding(what, _without(folder, error), False, command))
        else:
            findings.append(Finding(what, f"{split} {_amount(rows[folder])}"))
    examples = {}
    for task in experiment.tasks:
        if all(folder in rows for folder in used[task.name]):
            served = [
                row for folder in used[task.name] for row in rows[folder] if serves(row, task)
            ]
            finding, examples[task.name] = _examples(task, split, served, experiment.batching)
            findings.append(finding)
    return examples


def _recipe(folder: str, users: Sequence[Task]) -> str:
    """Return the command that prepares the user's own data for tasks."""
    if any(task.source == "speech" for task in users):
        return f"taskaware prepare manifest TABLE.tsv --out {folder}"
    languages = dict.fromkeys(
        language for task in users for language in (task.source_language, task.target_language)
    )
    return (
        f"taskaware prepare parallel FOLDER --languages {' '.join(languages)} --train STEM "
        f"--out {folder}"
    )


def _examples(task: Task, split: str, rows: Sequence[Row], limits: Batching) -> tuple[Finding, int]:
    """Count the rows of a task that training takes, or that evaluation can score."""
    what = f"task {task.name}" if split == "train" else f"task {task.name} ({split})"
    missing = None if rows else nothing_serves(task, split)
    asides: dict[str, int] = {}
    longest = FRAMES_PER_SECOND * limits.max_seconds
    shares = [num_frames(row.num_samples) / longest for row in rows]
    if task.source == "text":
        shares = [1.0] * len(rows)  # what is too long in tokens is seen when training begins
    if split == "train":
        usable = [row for row, share in zip(rows, shares, strict=True) if 0 < share <= 1]
        asides["too long, left out"] = len(rows) - len(usable)
        if rows and not usable:
            missing = nothing_short(task, limits)
    else:
        usable, normalize = rows, metric(task.metric_name).normalize
        asides["longer than training takes"] = sum(share > 1 for share in shares)
        empty = sum(not normalize(output_text(row, task)) for row in rows)
        asides["hold nothing to score, left out of the score"] = empty
    if missing is not None:
        detail, needed = _without(f"task {task.name!r}", missing), split != "test"
        aside = "" if needed else "; evaluate leaves the task out"
        return Finding(what, f"{detail}{aside}", not needed), 0
    counted = [f"{count:,} {aside}" for aside, count in asides.items() if count]
    return Finding(what, "; ".join([f"{split} {_amount(usable, task.source)}", *counted])), len(
        usable
    )


def _amount(rows: Sequence[Row], source: str = "speech") -> str:
    hours = sum(row.num_samples for row in rows) / SAMPLE_RATE / 3600
    spoken = f", {hours:,.2f} hours of speech" if source == "speech" else ""
    return f"{len(rows):,} examples{spoken}"


def _steps(experiment: Experiment, examples: Mapping[str, int], devices: int) -> str:
    """Return the number of steps in words, and in examples and epochs where these follow."""
    batching, multiple = batching_over(experiment, devices)
    trained = [experiment.tasks[index].name for index in experiment.trained]
    if batching.unit == "tokens":
        return (
            f"{experiment.steps:,}, in each as many examples as {batching.size:,} tokens per task "
            "hold, so lengths decide how many epochs they are"
        )
    if not all(examples.get(name) for name in trained):
        return f"{experiment.steps:,}; the missing data decide how many epochs they are"
    counts = [examples[name] for name in trained]
    parts = []
    for name, count, rows in zip(
        trained, counts, rows_per_batch(counts, batching, multiple), strict=True
    ):
        per_step = rows * experiment.optimizer.accumulate
        parts.append(
            f"{name} {per_step:,.4g} per step, {experiment.steps * per_step / count:,.1f} epochs"
        )
    return (
        f"{experiment.steps:,}, in examples: {'; '.join(parts)} "
        "(more, if batching.max_tokens leaves some out)"
    )


def _without(prefix: object, error: UsageError) -> str:
    """Return an error's message without the prefix that names what it is about."""
    return str(error).removeprefix(f"{prefix}: ")
