"""What an attack is, and what several are made of."""

import io
import os
import pickle
from typing import Any, NamedTuple

import numpy as np

HUGE = 5 * 2**30
"""Bytes of a file that is stored in none: more than may be taken."""


class Attack(NamedTuple):
    files: dict[str, Any]
    """By their path beside a good corpus: their bytes, or what makes or changes them."""
    argv: str
    expected: str
    """In the one line that refuses them; a pattern is not needed."""


class Payload:
    """Unpickled, it runs."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


PICKLE = pickle.dumps(Payload())
CODE = b"import os\nos.mkdir('ran')\n"


def sparse(path):
    path.touch()
    os.truncate(path, HUGE)


def link(target):
    return lambda path: path.symlink_to(target)


def object_array():
    file = io.BytesIO()
    np.save(file, np.array([Payload()], object), allow_pickle=True)
    return file.getvalue()
