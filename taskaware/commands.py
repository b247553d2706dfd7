"""What each command does. Nothing heavy is imported before it is needed: --help answers at once."""

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from taskaware.config import Experiment
from taskaware.errors import UsageError, nearest
from taskaware.experiment_file import load_experiment, recipes

_ABOUT = "Task-aware multi-task learning over speech and text. --debug shows tracebacks."


def dispatch(argv: list[str]) -> None:
    """Find the command, read its options and run it."""
    match argv:
        case ["prepare", *rest]:
            corpora: dict[str, Callable[..., Any]] = {
                "toy": prepare_toy,
                "manifest": prepare_manifest,
                "parallel": prepare_parallel,
            }
            _known(rest, corpora, "corpus")
            tyro.extras.subcommand_cli_from_dict(corpora, prog="taskaware prepare", args=rest)
        case ["train", path, *rest] if not path.startswith("-"):
            train_this = _training(load_experiment(Path(path)), Path(path))
            tyro.cli(train_this, prog=f"taskaware train {path}", args=rest)
        case _:
            commands = (quickstart, prepare, vocab, train, evaluate, decode, embed, forgetting, env)
            named: dict[str, Callable[..., Any]] = {c.__name__: c for c in commands}
            _known(argv, named, "command")
            tyro.extras.subcommand_cli_from_dict(
                named, prog="taskaware", description=_ABOUT, args=argv
            )


def _known(argv: list[str], names: dict[str, Any], what: str) -> None:
    if argv and not argv[0].startswith("-") and argv[0] not in names:
        raise UsageError(
            f"unknown {what} {argv[0]!r}; expected one of {', '.join(names)}"
            f"{nearest(argv[0], list(names))}"
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


def prepare(corpus: str) -> None:
    """Turn a corpus into what training reads: taskaware prepare toy | manifest | parallel.

    Args:
        corpus: taskaware prepare CORPUS --help tells its options.
    """
    raise UsageError(f"unknown corpus {corpus!r}; expected toy, manifest or parallel")


def prepare_toy(
    out: Path,
    train: int = 4000,
    validation: int = 200,
    test: int = 400,
    target_language: Literal["de", "ro", "tr"] = "de",
    sound: Literal["microphone", "telephone", "none"] = "microphone",
    seed: int = 0,
) -> None:
    """Write the embedded corpus: a grammar's sentences, spoken by a synthesizer.

    Args:
        out: the new folder.
        train: sentences to train on.
        validation: other sentences, by other voices.
        test: other sentences again, by those voices.
        target_language: of the translations.
        sound: what the speech went through; none writes text alone, at once.
        seed: of sentences and voices.
    """
    from taskaware.data.corpora import toy
    from taskaware.report import Counter

    with Counter("building the embedded corpus", train + validation + test) as counter:
        corpus = toy.prepare_toy(
            out,
            train=train,
            validation=validation,
            test=test,
            seed=seed,
            target_language=target_language,
            sound=sound,
            on_example=counter,
        )
    _tell(corpus)


def prepare_manifest(
    table: tyro.conf.Positional[Path],
    out: Path,
    audio_root: Path | None = None,
    resample: bool = False,
) -> None:
    """Write what a TSV table lists: speech, text and translations of your own.

    The header names its columns: id, audio, start, duration, speaker, source_text, target_text,
    source_language, target_language, and split (train where there is none). Rows of text alone
    leave audio empty; start and duration are seconds.

    Args:
        table: the TSV file, UTF-8.
        out: the new folder.
        audio_root: folder that audio paths start from, and may not leave; the table's own if
            not given.
        resample: convert audio of other rates to 16 kHz instead of refusing it.
    """
    from taskaware.data.corpora import manifest

    _tell(manifest.prepare_manifest(table, out, audio_root=audio_root, resample=resample))


def prepare_parallel(
    folder: tyro.conf.Positional[Path],
    out: Path,
    languages: tuple[str, ...],
    train: str,
    validation: str | None = None,
    test: str | None = None,
) -> None:
    """Write text and its translations, which stand on the same lines of a folder's files.

    The files of a split are STEM.en, STEM.de and so on, or else STEM.tsv with a column a language
    and no header; all may be gzipped, with .gz at the end. Pairs with an empty side are left out.

    Args:
        folder: where the files are.
        out: the new folder.
        languages: of the source, then of one or more targets, as the files are named: en de ro.
        train: stem of the files to train on.
        validation: stem of the files to validate on.
        test: stem of the files to test on.
    """
    from taskaware.data.corpora import parallel

    stems = {"train": train, "validation": validation, "test": test}
    left_out: dict[str, int] = {}
    corpus = parallel.prepare_parallel(
        folder,
        out,
        languages=languages,
        splits={split: stem for split, stem in stems.items() if stem is not None},
        on_left_out=left_out.__setitem__,
    )
    _tell(corpus)
    for split, count in left_out.items():
        if count:
            print(f"{out}: {split} without {count} pairs, of which a side is empty")


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


def train(experiment: tyro.conf.Positional[Path], out: Path, dry_run: bool = False) -> None:
    """Train an experiment; the same command again goes on where it stopped.

    Any field of the experiment can be set: --steps 2000 --model.d-model 256. All of them are
    listed by taskaware train EXPERIMENT --help.

    Args:
        experiment: a Python file that defines `experiment`, or FILE.py:NAME of one that defines
            `experiments`; or JSON as in a run folder.
        out: the run folder.
        dry_run: write nothing; only say how large it is, and what is there and what is missing.
    """
    _train(load_experiment(experiment), experiment, out, dry_run)


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
    out: Path | None = None,
) -> None:
    """Print or write what a trained run makes of a split, one line an example.

    Args:
        run: folder of taskaware train.
        task: its name in the experiment.
        split: of the prepared data.
        out: text file; without it the lines are printed.
    """
    _set_up_jax()
    from taskaware.results import hypotheses
    from taskaware.run import open_run, write_text

    opened = open_run(run)
    opened.experiment.task(task)
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UsageError(f"{out}: not a file in a folder that exists; choose another --out")
    lines = "".join(line + "\n" for line in hypotheses(opened, task, split))
    if out is None:
        sys.stdout.write(lines)
    else:
        write_text(out, lines)


def embed(run: tyro.conf.Positional[Path], split: str = "test") -> None:
    """Draw the task embeddings of a split's examples by t-SNE, and store them.

    Args:
        run: folder of taskaware train, of an implicit model.
        split: of the prepared data.
    """
    _set_up_jax()
    from taskaware.results import draw_embeddings
    from taskaware.run import open_run

    opened = open_run(run)
    if opened.experiment.model.conditioning == "vanilla":
        raise UsageError(f"{run}: a vanilla model has no task embeddings to draw")
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
    ) -> None:
        """Train this experiment; the same command again goes on where it stopped.

        Args:
            out: the run folder.
            experiment: what to train.
            dry_run: write nothing; only say how large it is, and what is there and what is missing.
        """
        _train(experiment, path, out, dry_run)

    return train_this


def _train(experiment: Experiment, path: Path, out: Path, dry_run: bool) -> None:
    _set_up_jax()
    if dry_run:
        from taskaware import dry_run as dry

        return dry.dry_run(experiment, out, recipes(path))
    from taskaware import run, training
    from taskaware.report import say

    say(run.devices_line(experiment))
    training.train(run.start(experiment, out))
    say(f"{out}: {experiment.steps} steps; taskaware evaluate {out}")


def _set_up_jax() -> None:
    """Keep compiled programs between commands, where the user has not chosen otherwise."""
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "taskaware" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))


def _tell(corpus: Any) -> None:
    for split in corpus.splits:
        rows = corpus.rows(split)
        hours = sum(row.num_samples for row in rows) / 16_000 / 3600
        print(f"{corpus.directory}: {split} {len(rows)} examples, {hours:.2f} hours of speech")
