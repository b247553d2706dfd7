"""The command line: one line for every error, and an exit code."""

import codecs
import io
import os
import sys
import traceback
from typing import Any

from taskaware.commands.table import COMMANDS
from taskaware.devices.machine import cpu_count
from taskaware.errors import RunError, StoppedError, UsageError

_PLAINER = str.maketrans({"–": "-", "…": "...", "×": "x", "→": "->"})


def start() -> None:
    """Run the command line with the environment variables that suit its command.

    They are read when a process begins, so this one is started anew. Variables that the user has
    set are kept.
    """
    name, variables = next((word for word in sys.argv[1:] if word != "--debug"), ""), {}
    kind = COMMANDS[name].kind if name in COMMANDS else "brief"
    if sys.platform == "linux" and kind != "brief":
        # Large pages: without them the kernel hands out, and clears, every array in pieces of
        # 4 KiB. Worth a fifth of a training step on a CPU.
        variables["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    if kind == "decodes":
        # The products of one token are too small for several threads: on a CPU each core becomes
        # a device, as long as each has some rows of a batch.
        variables["JAX_NUM_CPU_DEVICES"] = str(2 ** (min(cpu_count(), 8).bit_length() - 1))
    if variables.keys() - os.environ.keys():
        os.execve(sys.executable, sys.orig_argv, variables | os.environ)
    main()


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 misused, 128 + signal stopped."""
    if "--debug" not in sys.argv:
        sys.unraisablehook = _tell_unraisable
    codecs.register_error("otherwise", _otherwise)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="otherwise")
    sys.exit(run(sys.argv[1:]))


def _otherwise(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that a stream's encoding lacks, so that printing never fails a command."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAINER)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


def run(argv: list[str]) -> int:
    """Run one command and return its exit code; errors are one line unless --debug."""
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    try:
        from taskaware.commands.dispatch import dispatch

        dispatch(argv)
        print(end="", flush=True)  # which a closed stdout, None, does not mind
        return 0
    except BrokenPipeError:
        # The reader has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return _fail("interrupted; run the same command again: it goes on from what was saved", 130)
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else 2
    except Exception as error:
        if debug:
            traceback.print_exc()
        match error:
            case UsageError():
                return _fail(str(error), 2)
            case StoppedError():
                return _fail(str(error), 128 + error.signal)
            case RunError():
                return _fail(str(error), 1)
            case ModuleNotFoundError() if error.name and not error.name.startswith("taskaware"):
                # The synthesizer's extra is named where it is loaded.
                hint = f'module {error.name} is missing; pip install "taskaware[train]"'
                return _fail(hint, 2)
        reason = " ".join(str(error).split()) or "no message"
        return _fail(f"{type(error).__name__}: {reason}; --debug shows where", 1)


def _tell_unraisable(unraisable: Any) -> None:
    """Print exceptions that nobody could catch, except those that repeat an error of ours.

    After a failed write, callbacks of Orbax find their event loop closed.
    """
    if not (
        isinstance(unraisable.exc_value, RuntimeError)
        and "loop is closed" in str(unraisable.exc_value)
    ):
        sys.__unraisablehook__(unraisable)


def _fail(message: str, code: int) -> int:
    print(f"taskaware: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    start()
