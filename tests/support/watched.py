"""A command in a process of its own, which may neither run what it reads nor take all there is."""

import os
import resource
import sys

SECONDS = 30
"""Of both cores' time."""
MEMORY = 2**30
ADDRESSES = 3 * MEMORY
"""Bytes beyond those of the libraries, whose threads reserve much that they never use."""

_FORBIDDEN = ("pickle.find_class", "os.exec", "os.posix_spawn", "os.system", "subprocess.Popen")
_FORBIDDEN += ("socket.connect", "ctypes.dlopen")
BROKE_OUT = 99


def run(argv, place, log):
    """Run a command in a folder, whose modules could be imported as with ``python -m``.

    Exits as the command does; with BROKE_OUT after what no reader of files may do.
    """
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(f"{log}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(place)
    sys.path.insert(0, str(place))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESSES, used + ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    sys.addaudithook(_watch)
    from taskaware import cli

    code = cli.run(argv)
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY:
        os.write(2, b"too much memory\n")
        code = BROKE_OUT
    os._exit(code)


def _watch(event, args):
    if event in _FORBIDDEN:
        os.write(2, f"{event} {args}\n".encode())
        os._exit(BROKE_OUT)
