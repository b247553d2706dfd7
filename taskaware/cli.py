"""The command line: one line for every error, and an exit code."""

import codecs
import io
import os
import sys
import traceback
from typing import Any

from taskaware.devices.machine import cpu_count
from taskaware.errors import RunError, StoppedError, UsageError

_DECODES = ("evaluate", "decode", "forgetting", "pseudo-label")
_COMPUTES = ("quickstart", "train", "add-task", "embed", *_DECODES)

_PLAINER = str.maketrans({"–": "-", "…": "...", "×": "x", "→": "->"})


def start() -> None:
    """Run the command line in a process of the right environment: this one, started anew.

    What is said there is read when a process begins. Whatever the user has said stays.
    """
    command, wanted = next((word for word in sys.argv[1:] if word != "--debug"), ""), {}
    if sys.platform == "linux" and command in _COMPUTES:
        # Large pages: without them the kernel hands out, and clears, every array in pieces of
        # 4 KiB. Worth a fifth of a training step on a CPU.
        wanted["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    if command in _DECODES:
        # A token's products are too small for several threads: on a CPU each core is a device,
        # as long as every one has some rows of a batch.
        wanted["JAX_NUM_CPU_DEVICES"] = str(2 ** (min(cpu_count(), 8).bit_length() - 1))
    if wanted.keys() - os.environ.keys():
        os.execve(sys.executable, sys.orig_argv, wanted | os.environ)
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
    """Write what a stream's encoding lacks in ASCII: what is done does not fail for saying so."""
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
                # The synthesizer's own extra is named where it is loaded.
                hint = f'module {error.name} is missing; pip install "taskaware[train]"'
                return _fail(hint, 2)
        reason = " ".join(str(error).split()) or "no message"
        return _fail(f"{type(error).__name__}: {reason}; --debug shows where", 1)


def _tell_unraisable(told: Any) -> None:
    """Tell what nobody could catch, but for what our line has said already.

    After a write that failed, callbacks of Orbax's find its event loop closed.
    """
    if not (isinstance(told.exc_value, RuntimeError) and "loop is closed" in str(told.exc_value)):
        sys.__unraisablehook__(told)


def _fail(message: str, code: int) -> int:
    print(f"taskaware: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    start()
