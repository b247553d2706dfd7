"""What each command does. Nothing heavy is imported before it is needed: --help answers at once.

Those about corpora, prepare and check, are in ``corpus_commands``.
"""

import dataclasses
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from taskaware import corpus_commands
from taskaware.config import Experiment, Task
from taskaware.errors import UsageError, require_known
from taskaware.experiment_file import load_experiment, recipes
from taskaware.machine import cpu_count

_ABOUT = "Task-aware multi-task learning over speech and text. --debug shows tracebacks."


def dispatch(argv: list[str]) -> None:
    """Find the command, read its options and run it."""
    match argv:
        case ["prepare", corpus, *rest] if not corpus.startswith("-"):
            corpus_commands.corpus_command("prepare", corpus, rest)
        case ["check", corpus, *rest] if corpus_commands.is_raw(corpus):
            corpus_commands.corpus_command("check", corpus, rest)
        case ["train", path, *rest] if not path.startswith("-"):
            train_this = _training(load_experiment(Path(path)), Path(path))
            tyro.cli(train_this, prog=f"taskaware train {path}", args=rest)
        case _:
            commands = (
                *(quickstart, corpus_commands.prepare, corpus_commands.check, vocab, train),
                *(
                    fit,
                    add_task,
                    evaluate,
                    decode,
                    embed,
                    forgetting,
                    share,
                    export,
                    pseudo_label,
                    env,
                ),
            )
            named: dict[str, Callable[..., Any]] = {
                command.__name__.replace("_", "-"): command for command in commands
            }
            if argv and not argv[0].startswith("-"):
                require_known(argv[0], named, "command")
            tyro.extras.subcommand_cli_from_dict(
                named, prog="taskaware", description=_ABOUT, args=argv
            )


def quickstart(out: Path = Path("quickstart"), steps: int = 0, seed: int = 0) -> None:
    """Build the embedded corpus, train three models on three tasks, score and draw.

    Args:
        out: folder for everything; an interrupted quickstart goes on in it.
        steps: training steps of each model; 0 takes as many as the printed table needs.
        seed: of corpus, models and order.
    """
    _set_up_jax()
    from taskaware import quickstart as whole

    whole.quickstart(out, steps or whole.STEPS, seed)


def vocab(
    data: tuple[Path, ...], out: Path, size: int = 32_000, also: tuple[str, ...] = ()
) -> None:
    """Learn one sub-word vocabulary over the training text of all languages.

    Args:
        data: folders of taskaware prepare.
        out: the SentencePiece model to write.
        size: number of tokens (paper: 32,000).
        also: further texts to cover, such as the prefixes of tasks.
    """
    from taskaware.data.corpora.base import PreparedCorpus
    from taskaware.data.tokenizer import train_tokenizer

    rows = [row for folder in data for row in PreparedCorpus(folder).rows("train")]
    texts = (text for row in rows for text in (row.source_text, row.target_text))
    train_tokenizer(itertools.chain(texts, also), size, out)
    print(f"{out}: {size} tokens from {len(rows)} examples")


def train(
    experiment: tyro.conf.Positional[Path],
    out: Path,
    dry_run: bool = False,
    distributed: bool = False,
    accept_changes: bool = False,
) -> None:
    """Train an experiment; the same command again goes on where it stopped.

    Any field of the experiment can be set: --steps 2000 --model.d-model 256. All of them are
    listed by taskaware train EXPERIMENT --help.

    Args:
        experiment: a Python file that defines `experiment`, or FILE.py:NAME of one that defines
            `experiments`; or JSON as in a run folder.
        out: the run folder.
        dry_run: write nothing; only say how large it is, and what is there and what is missing.
        distributed: this is one of several processes, started by the same command on each machine.
        accept_changes: go on in a folder that was begun with another experiment, data or tokenizer.
    """
    how = {"dry_run": dry_run, "distributed": distributed, "accept_changes": accept_changes}
    _train(load_experiment(experiment), experiment, out, **how)


def fit(experiment: tyro.conf.Positional[Path], memory_gib: float = 0.0) -> None:
    """Find the largest batches that fit into the memory of the devices; nothing is trained.

    Args:
        experiment: as in taskaware train; its data must be there.
        memory_gib: GiB that each device may use, of another machine's, for example; 0 for what
            this one's devices have.
    """
    if memory_gib < 0:
        raise UsageError(f"memory_gib: expected 0 or more, found {memory_gib}")
    _set_up_jax()
    from taskaware.data.tokenizer import Tokenizer
    from taskaware.fit import fit as largest
    from taskaware.report import say
    from taskaware.run import devices_line, mesh_of

    known = load_experiment(experiment)
    say(devices_line(known, mesh_of(known)))
    tokenizer = Tokenizer.load(Path(known.tokenizer))
    found = largest(known, tokenizer, int(memory_gib * 2**30), say)
    for shape, needed in found.bytes_by_shape.items():
        say(f"{needed / 2**30:6.2f} of {found.limit / 2**30:.2f} GiB: {shape}")
    print(f"--batching.size {found.size}")


def add_task(
    run: tyro.conf.Positional[Path],
    task: Annotated[Task, tyro.conf.arg(name="")],
    out: Path,
    steps: int = 300,
    learning_rate: float = 0.0,
    replay: int = 0,
) -> None:
    """Add a task to a trained run without changing what it does for the others.

    An implicit model takes the task from its examples, without training; of an explicit one only
    the new task's own numbers are trained.

    Args:
        run: folder of taskaware train.
        task: the new task.
        out: the new run folder, of all tasks.
        steps: of training, where there is any.
        learning_rate: factor of the schedule; 0 for that of the run.
        replay: tune the whole model instead, on the new task and so many examples of each old one.
    """
    from taskaware.add_task import add_task as added
    from taskaware.run import open_run

    if replay < 0 or learning_rate < 0:
        name, value = ("replay", replay) if replay < 0 else ("learning_rate", learning_rate)
        raise UsageError(f"{name}: expected 0 or more, found {value}")
    options = {"steps": steps, "learning_rate": learning_rate, "replay": replay}
    experiment = added(open_run(run).experiment, str(run), task, **options)
    experiment = dataclasses.replace(experiment, tokenizer=str(run / "tokenizer.model"))
    _train(experiment, run, out)


def evaluate(
    run: tyro.conf.Positional[Path],
    split: str = "test",
    select: Literal["newest", "average", "single", "taskwise"] = "newest",
) -> None:
    """Decode a split with a trained run, score every task, print and store the row.

    Args:
        run: folder of taskaware train.
        split: of the prepared data.
        select: which checkpoint: the newest; the mean of all that the run keeps; the single one
            that is best for all tasks on the validation split; or each task's best one there.
    """
    _set_up_jax()
    from taskaware.report import console, results_table, say
    from taskaware.results import score
    from taskaware.run import devices_line, open_run

    opened = open_run(run)
    say(devices_line(opened.experiment))
    console.print(results_table([score(opened, split, select)]))
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
    _set_up_jax()
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
    _set_up_jax()
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
    _set_up_jax()
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
    select: Literal["newest", "average", "single"] = "newest",
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
    _set_up_jax()
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
    _set_up_jax()
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
    _set_up_jax()
    from taskaware.data.corpora.check import summarize
    from taskaware.pseudo_label import pseudo_label as label
    from taskaware.report import console, corpus_table, shard_counter
    from taskaware.run import open_run

    opened = [(open_run(Path(run)), task) for run, task in pairs]
    with shard_counter("writing translations") as tell:
        corpus = label(data, opened, out, top=top, split=split, workers=cpu_count(), on_shard=tell)
    console.print(corpus_table(summarize(corpus)))


def env() -> None:
    """Print what a result depends on: versions, devices, commit."""
    import json

    _set_up_jax()
    from taskaware.run import environment

    print(json.dumps(environment(), indent=2))


def _training(experiment: Experiment, path: Path) -> Callable[..., None]:
    """Return a command whose options are the experiment's fields, with their values."""

    def train_this(
        out: Path,
        experiment: Annotated[Experiment, tyro.conf.arg(name="")] = experiment,
        dry_run: bool = False,
        distributed: bool = False,
        accept_changes: bool = False,
    ) -> None:
        """Train this experiment; the same command again goes on where it stopped.

        Args:
            out: the run folder.
            experiment: what to train.
            dry_run: write nothing; only say how large it is, and what is there and what is missing.
            distributed: this is one of several processes, started by the same command on each
                machine.
            accept_changes: go on in a folder that was begun with another experiment, data or
                tokenizer.
        """
        how = {"dry_run": dry_run, "distributed": distributed, "accept_changes": accept_changes}
        _train(experiment, path, out, **how)

    return train_this


def _train(
    experiment: Experiment,
    path: Path,
    out: Path,
    *,
    dry_run: bool = False,
    distributed: bool = False,
    accept_changes: bool = False,
) -> None:
    _set_up_jax()
    if dry_run:
        from taskaware import dry_run as dry

        return dry.dry_run(experiment, out, recipes(path))
    from taskaware import processes, run, training
    from taskaware.report import console, say

    if distributed:
        processes.join()
        console.quiet = not processes.is_first()
    say(run.devices_line(experiment, run.mesh_of(experiment)))
    started = run.start(experiment, out, accept_changes=accept_changes)
    training.train(started, accept_changes=accept_changes)
    say(f"{out}: {experiment.steps} steps; taskaware evaluate {out}")


def _set_up_jax() -> None:
    """Keep compiled programs between commands, where the user has not chosen otherwise."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "taskaware" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
