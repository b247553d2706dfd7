"""From the words of a command line to the command that they name."""

import importlib
from pathlib import Path

import tyro

from taskaware.commands import corpora, training
from taskaware.commands.table import COMMANDS
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
            if argv and not argv[0].startswith("-"):
                require_known(argv[0], COMMANDS, "command")
            functions = {
                name: getattr(
                    importlib.import_module(f"taskaware.commands.{command.module}"),
                    name.replace("-", "_"),
                )
                for name, command in COMMANDS.items()
            }
            tyro.extras.subcommand_cli_from_dict(
                functions, prog="taskaware", description=_ABOUT, args=argv
            )
