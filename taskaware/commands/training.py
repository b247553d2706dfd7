"""Commands that train."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from taskaware.config import Experiment, Task
from taskaware.config.file import load_experiment, recipes
from taskaware.devices.machine import set_up_jax
from taskaware.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of ``taskaware train`` besides the experiment."""

    out: Path
    """the run folder."""
    dry_run: bool = False
    """write nothing; only say how large it is, and what is there and what is missing."""
    distributed: bool = False
    """this is one of several processes, started by the same command on each machine."""
    accept_changes: bool = False
    """go on in a folder that was begun with another experiment, data or tokenizer."""


def quickstart(out: Path = Path("quickstart"), steps: int | None = None, seed: int = 0) -> None:
    """Build the embedded corpus, train three models on three tasks, score and draw.

    Args:
        out: folder for everything; an interrupted quickstart goes on in it.
        steps: training steps of each model; by default as many as the printed table needs.
        seed: of the corpus, the models and the order of examples.
    """
    set_up_jax()
    from taskaware.workflows import first_run

    first_run.quickstart(out, first_run.STEPS if steps is None else steps, seed)


def vocab(
    data: tuple[Path, ...],
    out: Path,
    size: int = 32_000,
    also: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
) -> None:
    """Learn one sub-word vocabulary over the training text of all languages.

    Args:
        data: folders of taskaware prepare.
        out: the SentencePiece model to write.
        size: number of tokens (paper: 32,000).
        also: further texts to cover, such as the prefixes of tasks.
        labels: columns of labels that are texts to be written, such as marked transcripts.
    """
    from taskaware.data.corpora.base import PreparedCorpus
    from taskaware.data.tokenizer import train_tokenizer

    corpora = [PreparedCorpus(folder) for folder in data]
    texts = itertools.chain.from_iterable(corpus.texts("train", labels) for corpus in corpora)
    train_tokenizer(itertools.chain(texts, also), size, out)
    examples = sum(len(corpus.rows("train")) for corpus in corpora)
    print(f"{out}: {size} tokens from {examples} examples")


def train(
    experiment: tyro.conf.Positional[Path],
    options: Annotated[TrainOptions, tyro.conf.arg(name="")],
) -> None:
    """Train an experiment; the same command again goes on where it stopped.

    Any field of the experiment can be set: --steps 2000 --model.d-model 256. All of them are
    listed by taskaware train EXPERIMENT --help.

    Args:
        experiment: a Python file that defines `experiment`, or FILE.py:NAME of one that defines
            `experiments`; or JSON as in a run folder.
        options: where and how.
    """
    _train(load_experiment(experiment), experiment, options)


def fit(experiment: tyro.conf.Positional[Path], memory_gib: float | None = None) -> None:
    """Find the largest batches that fit into the memory of the devices; nothing is trained.

    Args:
        experiment: as in taskaware train; its data must be there.
        memory_gib: GiB that each device may use, for another machine as an example; by default what
            this machine's devices have.
    """
    if memory_gib is not None and not 0 < memory_gib < math.inf:
        raise UsageError(f"memory_gib: expected a positive number, found {memory_gib}")
    set_up_jax()
    from taskaware.data.tokenizer import Tokenizer
    from taskaware.runs import memory
    from taskaware.runs.console import say
    from taskaware.runs.folder import devices_line, mesh_of

    loaded = load_experiment(experiment)
    say(devices_line(loaded, mesh_of(loaded)))
    tokenizer = Tokenizer.load(Path(loaded.tokenizer))
    limit = None if memory_gib is None else int(memory_gib * 2**30)
    largest = memory.fit(loaded, tokenizer, limit, say)
    for shape, needed in largest.bytes_by_shape.items():
        say(f"{needed / 2**30:6.2f} of {largest.limit / 2**30:.2f} GiB: {shape}")
    print(f"--batching.size {largest.size}")


def add_task(
    run: tyro.conf.Positional[Path],
    task: Annotated[Task, tyro.conf.arg(name="")],
    out: Path,
    steps: int = 300,
    learning_rate: float | None = None,
    replay: int = 0,
) -> None:
    """Add a task to a trained run without changing what it does for the others.

    An implicit model takes the task from its examples, without training; of an explicit one only
    the new task's own parameters are trained.

    Args:
        run: folder of taskaware train.
        task: the new task.
        out: the new run folder, of all tasks.
        steps: of training, where there is any.
        learning_rate: factor of the schedule; by default that of the run.
        replay: fine-tune the whole model instead, on the new task and this many examples of each
            old one.
    """
    from taskaware.runs.folder import Run
    from taskaware.workflows import addition

    if replay < 0:
        raise UsageError(f"replay: expected 0 or more, found {replay}")
    experiment = addition.add_task(
        *(Run.open(run).experiment, str(run), task),
        steps=steps,
        learning_rate=learning_rate,
        replay=replay,
    )
    experiment = replace(experiment, tokenizer=str(run / "tokenizer.model"))
    _train(experiment, run, TrainOptions(out=out))


def env() -> None:
    """Print what a result depends on: versions, devices, commit."""
    import json

    set_up_jax()
    from taskaware.runs.folder import environment

    print(json.dumps(environment(), indent=2))


def options_of(experiment: Experiment, path: Path) -> Callable[..., None]:
    """Return a command whose options are the experiment's fields, with their values."""

    def train_this(
        options: Annotated[TrainOptions, tyro.conf.arg(name="")],
        experiment: Annotated[
            Experiment, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands
        ] = experiment,
    ) -> None:
        """Train this experiment; the same command again goes on where it stopped.

        Args:
            options: where and how.
            experiment: what to train.
        """
        _train(experiment, path, options)

    return train_this


def _train(experiment: Experiment, path: Path, options: TrainOptions) -> None:
    set_up_jax()
    out, accept_changes = options.out, options.accept_changes
    if options.dry_run:
        from taskaware.workflows import rehearsal

        return rehearsal.dry_run(experiment, out, recipes(path))
    from taskaware.devices import processes
    from taskaware.runs import folder, trainer
    from taskaware.runs.console import console, say

    if options.distributed:
        processes.join()
        console.quiet = not processes.is_first()
    say(folder.devices_line(experiment, folder.mesh_of(experiment)))
    started = folder.Run.start(experiment, out, accept_changes=accept_changes)
    steps = trainer.train(started, accept_changes=accept_changes)
    more = f", more than the {experiment.steps} asked for" * (steps > experiment.steps)
    say(f"{out}: {steps} steps{more}; taskaware evaluate {out}")
