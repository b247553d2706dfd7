"""The two ways a command can fail; the command line turns each into one line and an exit code."""

import re
from collections.abc import Iterable

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Characters that end a line, command a terminal or cannot be written at all."""

_LONGEST = 2000
_LAST = 500


class UsageError(ValueError):
    """What the user gave cannot be used: bad input, configuration or folder, or a missing extra.

    The message is one line: what, where, what was expected, what was found, what to do. A page may
    follow it. The command line prints both and exits with 2.
    """

    def __init__(self, message: str, page: str = ""):
        super().__init__(one_line(message) + page)


class RunError(RuntimeError):
    """A run that had begun cannot go on; the command line prints the line and exits with 1."""

    def __init__(self, message: str):
        super().__init__(one_line(message))


class StoppedError(RunError):
    """A run was told to stop, and has saved; the command line exits with 128 + the signal."""

    def __init__(self, message: str, signal: int):
        super().__init__(message)
        self.signal = signal


def one_line(message: str) -> str:
    r"""Return a message as one line of bounded length: it quotes files that may hold anything.

    Example:
        >>> print(one_line("a name\nof two lines"))
        a name\nof two lines
    """
    line = CONTROL.sub(lambda match: ascii(match[0])[1:-1], message)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - _LAST]} … {line[-_LAST:]}"


def nearest(word: str, choices: tuple[str, ...] | list[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the choice most like ``word``, "" if none is.

    Example:
        >>> nearest("stt", ["st", "asr", "mt"])
        "; did you mean 'st'?"
    """
    from difflib import get_close_matches

    matches = get_close_matches(word, choices, n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def require_known(word: str, choices: Iterable[str], what: str) -> None:
    """Raise UsageError, with the nearest choice, unless a word is one of the choices.

    Example:
        >>> require_known("train", ["prepare", "train"], "command")
    """
    names = [*choices]
    if word not in names:
        raise UsageError(
            f"unknown {what} {word!r}; expected one of {', '.join(names)}{nearest(word, names)}"
        )
