"""The commands by name. Nothing heavy is imported before it is needed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from taskaware.commands import corpora, models, results, training
from taskaware.config.file import load_experiment
from taskaware.errors import require_known

_ABOUT = "Task-aware multi-task learning over speech and text. --debug shows tracebacks."


def dispatch(argv: list[str]) -> None:
    """Find the command, read its options and run it."""
    match argv:
        case ["prepare", corpus, *rest] if not corpus.startswith("-"):
            corpora.corpus_command("prepare", corpus, rest)
        case ["check", corpus, *rest] if corpora.is_raw(corpus):
            corpora.corpus_command("check", corpus, rest)
        case ["train", path, *rest] if not path.startswith("-"):
            train_this = training.options_of(load_experiment(Path(path)), Path(path))
            tyro.cli(train_this, prog=f"taskaware train {path}", args=rest)
        case _:
            commands = (
                *(training.quickstart, corpora.prepare, corpora.check, training.vocab),
                *(training.fit, training.train, training.add_task, results.evaluate),
                *(results.decode, results.embed, results.forgetting, models.share),
                *(models.export, models.pseudo_label, training.env),
            )
            named: dict[str, Callable[..., Any]] = {
                command.__name__.replace("_", "-"): command for command in commands
            }
            if argv and not argv[0].startswith("-"):
                require_known(argv[0], named, "command")
            tyro.extras.subcommand_cli_from_dict(
                named, prog="taskaware", description=_ABOUT, args=argv
            )
