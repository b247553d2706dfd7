"""The two ways a command can fail; the command line turns each into one line and an exit code."""

from collections.abc import Iterable


class UsageError(ValueError):
    """What the user gave cannot be used: bad input, configuration or folder, or a missing extra.

    The message is one line: what, where, what was expected, what was found, what to do.
    The command line prints it and exits with 2.
    """


class RunError(RuntimeError):
    """A run that had begun cannot go on; the command line prints the line and exits with 1."""


class StoppedError(RunError):
    """A run was told to stop, and has saved; the command line exits with 128 + the signal."""

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the known word most like ``word``, or nothing.

    Example:
        >>> nearest("stt", ["st", "asr", "mt"])
        "; did you mean 'st'?"
    """
    from difflib import get_close_matches

    found = get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def require_known(word: str, known: Iterable[str], what: str) -> None:
    """Raise UsageError unless a word is a known one.

    Example:
        >>> require_known("train", ["prepare", "train"], "command")
    """
    names = [*known]
    if word not in names:
        raise UsageError(
            f"unknown {what} {word!r}; expected one of {', '.join(names)}{nearest(word, names)}"
        )
