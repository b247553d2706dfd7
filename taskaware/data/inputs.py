"""Inputs of a call to a trained model, texts or samples: checked, then made into rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int16

from taskaware.config import Task
from taskaware.data.audio.features import WINDOW, log_mel, normalize, num_frames, to_int16
from taskaware.data.buckets import rounded
from taskaware.data.targets import TokenRows, pad
from taskaware.data.tasks import tokens_of_task
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import MEL_CHANNELS, Source, Speech, Text
from taskaware.errors import UsageError


class Inputs:
    """The inputs of one call, all for one task.

    Attributes:
        task: what the model shall do with them.
        length_B: of each input: frames of speech (10 ms each), or tokens of text and its EOS.
    """

    def __init__(self, task: Task, inputs: Any, tokenizer: Tokenizer):
        """Check every input; features are computed later, in ``source``.

        Raises:
            UsageError: they are not a list of what the task takes, or one of them is invalid.
        """
        self.task = task
        _require_list(task, inputs)
        self._samples: list[np.ndarray] = []
        self._tokens: TokenRows | None = None
        self.word_starts: list[list[int]] = []
        if task.source == "text":
            tokens = [tokens_of_task(text, task, tokenizer) for text in inputs]
            self.word_starts = [starts for _, starts in tokens]
            self._tokens = TokenRows(one for one, _ in tokens)
            self.length_B = self._tokens.length
        else:
            self._samples = [
                _samples(one, f"task {task.name!r}: input {place}")
                for place, one in enumerate(inputs)
            ]
            self.length_B = np.array([num_frames(len(one)) for one in self._samples], np.int32)

    def about(self, row: int) -> dict[str, Any]:
        """Return what an answer's text depends on besides the answer: see ``search.as_text``."""
        if self._tokens is None:
            return {"frames": int(self.length_B[row])}
        return {"starts": self.word_starts[row]}

    def source(self, rows: Sequence[int]) -> Source:
        """Return some of the inputs, prepared and padded as in training."""
        longest = int(self.length_B[rows].max())
        if self._tokens is not None:
            tokens = [self._tokens[row] for row in rows]
            return Text(pad(tokens, rounded(source=longest).source))
        frames_BAC = np.zeros((len(rows), rounded(frames=longest).frames, MEL_CHANNELS), np.float32)
        for out_AC, row in zip(frames_BAC, rows, strict=True):
            out_AC[: self.length_B[row]] = normalize(log_mel(self._samples[row]))
        return Speech(frames_BAC, self.length_B[rows])


def _require_list(task: Task, inputs: Any) -> None:
    where = f"task {task.name!r}: expected one or more {task.source} inputs"
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Sequence):
        raise UsageError(
            f"{where} in a list, found {_kind(inputs)} by itself; put it in a list, or make a "
            "list of it"
        )
    if not inputs or any(isinstance(one, str) != (task.source == "text") for one in inputs):
        kinds = ", ".join(sorted({type(one).__name__ for one in inputs}))
        raise UsageError(f"{where}, found {kinds or 'none'}")


def _samples(one: Any, where: str) -> Int16[np.ndarray, " A"]:
    """Return an input as the 16-bit samples that a file of it would give."""
    array = None
    if hasattr(one, "__array__"):
        try:
            array = np.asarray(one)
        except (TypeError, ValueError, RuntimeError):  # a tensor on a device, or with a gradient
            pass
    integers = array is not None and np.issubdtype(array.dtype, np.int16)
    if array is None or array.ndim != 1 or not (integers or array.dtype.kind == "f"):
        raise UsageError(
            f"{where}: expected 16 kHz mono samples as an array of one dimension, int16 or floats "
            f"from -1 to 1, found {_kind(one if array is None else array)}"
        )
    if len(array) < WINDOW:
        raise UsageError(f"{where}: expected at least {WINDOW} samples (25 ms), found {len(array)}")
    return array.astype(np.int16) if integers else _scaled(array, where)


def _scaled(samples_A: np.ndarray, where: str) -> Int16[np.ndarray, " A"]:
    """Return floats scaled to 16 bits; UsageError if their scale would make them silent or clip."""
    if not np.isfinite(samples_A).all():
        raise UsageError(f"{where}: expected finite samples, found NaN or infinity")
    scaled = to_int16(samples_A)
    if scaled.fault:
        raise UsageError(
            f"{where}: {scaled.fault}; divide floats by their full scale (32768 where they were"
            " 16-bit integers) once"
        )
    return scaled.samples


def _kind(value: Any) -> str:
    """Return what a value is, in a few words: "an array of float32 and shape (1, 16000)"."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    return f"one {type(value).__name__}"
