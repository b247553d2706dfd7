"""Experiments as files: JSON, or Python that defines one or several."""

import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

from taskaware.config.experiment import Experiment
from taskaware.errors import UsageError, nearest
from taskaware.files.strict_json import load


def load_experiment(path: Path) -> Experiment:
    """Read an experiment from JSON, or from a Python file that defines ``experiment``.

    ``FILE.py:NAME`` is one of a file that defines ``experiments``, a dict by name. A Python file
    may import files beside it; it is code, and runs as such.

    Raises:
        UsageError: there is no such file or experiment, or the file is wrong.
    """
    path, name = _named(path)
    if path.suffix != ".py":
        return load(Experiment, path)
    defined = definitions(path)
    several = defined.get("experiments", {})
    if several and name not in several:
        expected = " or ".join(f"{path}:{key}" for key in several)
        found = f"{path}:{name}{nearest(name, list(several))}" if name else "none named"
        raise UsageError(
            f"{path}: it defines several experiments; expected {expected}, found {found}"
        )
    experiment = several[name] if several else defined.get("experiment")
    if not isinstance(experiment, Experiment) or (name and not several):
        raise UsageError(f"{path}: expected it to define experiment = Experiment(...)")
    return experiment


def recipes(path: Path) -> dict[str, str]:
    """Return the command that makes each folder and tokenizer, where an experiment's file has it.

    They are read from ``data`` in a Python file or in the ``base.py`` beside it: commands by the
    path that they make, which they call ``{out}``.
    """
    path, _ = _named(path)
    commands: dict[str, str] | None = None
    if path.suffix == ".py":
        base = path.with_name("base.py")
        commands = definitions(path).get("data")
        if commands is None and base.is_file():
            commands = definitions(base).get("data")
    return {
        out: command.replace("{out}", out).replace("{corpora}", "CORPORA")
        for out, command in (commands or {}).items()
    }


def definitions(path: Path) -> dict[str, Any]:
    """Run a Python file, which may import files beside it, and return what it defines.

    Raises:
        UsageError: there is no such file, or it raised an exception.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such experiment file")
    before = set(sys.modules)
    sys.path.insert(0, str(path.parent.absolute()))
    try:
        return runpy.run_path(str(path))
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    except Exception as error:  # the file is code: whatever it raises is a mistake in it
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno for step in steps if step.filename == str(path)]
        line = lines[-1] if lines else getattr(error, "lineno", 1)
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}:{line}: {type(error).__name__}: {reason}") from error
    finally:
        sys.path.pop(0)
        for name in set(sys.modules) - before:  # another folder may have a file of that name
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).parent == path.parent.absolute():
                del sys.modules[name]


def _named(path: Path) -> tuple[Path, str | None]:
    """Split FILE.py:NAME into the file and the name, None without one."""
    file, named, name = path.name.rpartition(".py:")
    return (path.with_name(file + ".py"), name) if named else (path, None)
