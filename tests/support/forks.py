"""Commands in processes of their own, forked from one that has imported all that they need.

It forks before JAX has begun to work; so a command is at work at once.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.command_line import ROOT, Outcome

SERVER = """
import json, os, resource, sys
import tensorboardX
from taskaware import cli
from taskaware.commands import dispatch
from taskaware.evaluation import scoring
from taskaware.runs import trainer
from taskaware.training.checkpoint import Checkpoints

commit = Checkpoints._commit

def commit_and_tell(self, step, written):
    commit(self, step, written)
    print("committed", step, flush=True)

for line in sys.stdin:
    argv, log, limit, env, tell = json.loads(line)
    child = os.fork()
    if not child:
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(f"{log}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        if tell:
            Checkpoints._commit = commit_and_tell
        os.environ.update(env)
        sys.argv[1:] = argv
        try:
            cli.main()
        except SystemExit as end:
            os._exit(end.code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Server:
    """Runs commands in processes of their own, one at a time."""

    def __init__(self, process, log):
        self._process, self._log, self._running = process, log, 0

    def start(self, *argv, limit=0, env=(), tell=True):
        """Start a command; return its process.

        ``limit`` bytes are the most of any file; with ``tell`` it prints which steps are committed.
        """
        if self._running:  # a test has failed meanwhile
            os.kill(self._running, signal.SIGKILL)
            self.end()
        for name in ("out", "err"):  # of the command before, which has told of other steps
            Path(f"{self._log}.{name}").unlink(missing_ok=True)
        ask = [[str(word) for word in argv], str(self._log), limit, dict(env), tell]
        self._process.stdin.write(json.dumps(ask).encode() + b"\n")
        self._running = int(self._process.stdout.readline())
        return self._running

    def end(self) -> Outcome:
        """What the command did, once it has ended; a signal that killed it is below zero."""
        code, self._running = int(self._process.stdout.readline()), 0
        return Outcome(code, *(Path(f"{self._log}.{name}").read_text() for name in ("out", "err")))

    def wait_until(self, true):
        """Wait at most five minutes until something is true that the command brings about."""
        until = time.monotonic() + 300
        while not true():
            assert not self.ended() or true(), self.end()
            assert time.monotonic() < until, self._said()
            time.sleep(0.01)

    def ended(self) -> bool:
        """Whether the command is through; then ``end`` does not wait."""
        return bool(select.select([self._process.stdout], [], [], 0)[0])

    def committed(self):
        """The newest step that the command has told to be committed."""
        with contextlib.suppress(FileNotFoundError):
            words = Path(f"{self._log}.out").read_text().split("committed ")
            return int(words[-1].split()[0]) if len(words) > 1 else 0
        return 0

    def _said(self):
        """What the command has said so far, told where it does not come as far as expected."""
        logs = [Path(f"{self._log}.{name}") for name in ("out", "err")]
        said = " | ".join(log.read_text() for log in logs if log.exists())
        return f"within 5 minutes the command came no further than: {said}"

    def wait_for(self, step):
        """Return once a step is committed."""
        until = time.monotonic() + 300
        while self.committed() < step:
            assert not self.ended() or self.committed() >= step, self.end()
            assert time.monotonic() < until, self._said()
            time.sleep(0.005)


@contextlib.contextmanager
def serving(log):
    """A server while it is needed; what its commands say lies in ``log`` with an ending."""
    words = [sys.executable, "-W", "ignore", "-c", SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    # Without a buffer, of which ``ended`` would not know.
    with subprocess.Popen(words, cwd=ROOT, bufsize=0, **pipes) as process:
        yield Server(process, log)
        process.stdin.close()
