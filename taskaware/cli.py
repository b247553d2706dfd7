"""The command line: one line for every error, and an exit code."""

import os
import sys
import traceback

from taskaware.errors import RunError, StoppedError, UsageError


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 misused, 128 + signal stopped."""
    if "--debug" not in sys.argv:
        # What commands raise is told by run. What comes here are callbacks of Orbax's that find
        # its event loop closed after a write that failed: nothing that our line has not said.
        sys.unraisablehook = lambda told: None
    sys.exit(run(sys.argv[1:]))


def run(argv: list[str]) -> int:
    """Run one command and return its exit code; errors are one line unless --debug."""
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    try:
        from taskaware.commands import dispatch

        dispatch(argv)
        sys.stdout.flush()
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


def _fail(message: str, code: int) -> int:
    print(f"taskaware: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
