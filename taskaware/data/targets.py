"""A task's expected outputs as arrays, one class per kind.

Each has ``length``, which batches are cut by beside the source's, and ``rows``, which pads some of
them to the shape of a batch.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from taskaware.config import Task
from taskaware.config.wiring import FIRST_SYMBOL, Inventory
from taskaware.data.audio.features import num_frames
from taskaware.data.corpora.base import Row
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import EOS, PAD, UNK, FrameLabels, Label, Number, Tags, Target, Tokens
from taskaware.errors import UsageError
from taskaware.files.segments import parse_segments

TARGET_WORK = 1.6
"""What a target token costs, in source positions. With 12 + 12 blocks, D = 512 and V = 32,000, a
forward pass takes about 63 MFLOP per position and 108 per token, whose logits are computed too."""


class Shape(NamedTuple):
    """A bucket's padded lengths: frames, source tokens, target tokens."""

    frames: int
    source: int
    target: int

    def work(self, stride: int) -> float:
        """Return the cost of a row, in source positions of ``stride`` frames each."""
        return max(self.frames / stride, self.source) + TARGET_WORK * self.target


class TokenRows:
    """Token sequences of many lengths in one array: 4 bytes per token."""

    def __init__(self, sequences: Iterable[Sequence[int]]):
        arrays = [np.asarray([*tokens, EOS], np.int32) for tokens in sequences]
        self.length = np.array([len(array) for array in arrays], np.int32)
        self._flat = np.concatenate(arrays) if arrays else np.zeros(0, np.int32)
        self._start = np.concatenate([[0], np.cumsum(self.length, dtype=np.int64)])

    def __getitem__(self, index: int) -> Int32[np.ndarray, " T"]:
        """Return one sequence, EOS at its end."""
        return self._flat[self._start[index] : self._start[index + 1]]

    def having(self, token: int) -> list[int]:
        """Return the indices of the sequences that contain a token, in order."""
        places = np.flatnonzero(self._flat == token)
        return np.unique(np.searchsorted(self._start, places, side="right") - 1).tolist()

    def rows(self, indices: Sequence[int], shape: Shape) -> Tokens:
        """Return some of them as targets."""
        return Tokens(pad([self[index] for index in indices], shape.target))


class LabelRows:
    """One label per example."""

    def __init__(self, texts: Sequence[str], inventory: Inventory):
        self._label = np.array([inventory.index(text) for text in texts], np.int32)
        self.length = np.ones(len(texts), np.int32)

    def rows(self, indices: Sequence[int], shape: Shape) -> Label:
        """Return some of them as targets."""
        return Label(self._label[list(indices)])


class TagRows:
    """One tag per word of an example's text, at the word's first token."""

    def __init__(self, texts: Sequence[str], starts: Sequence[Sequence[int]], inventory: Inventory):
        self._tags = [
            (np.array(start, np.int32), np.array([*map(inventory.index, text.split())], np.int32))
            for text, start in zip(texts, starts, strict=True)
        ]
        self.length = np.ones(len(texts), np.int32)

    def rows(self, indices: Sequence[int], shape: Shape) -> Tags:
        """Return some of them as targets."""
        label_BS = np.zeros((len(indices), shape.source), np.int32)
        for row, index in enumerate(indices):
            start, tag = self._tags[index]
            label_BS[row, start] = tag
        return Tags(label_BS)


class FrameRows:
    """Which labels hold in each frame of an example."""

    def __init__(self, texts: Sequence[str], frames: Sequence[int], inventory: Inventory):
        self._segments = [
            [(inventory.index(s.label) - 1, s.frames) for s in parse_segments(text)]
            for text in texts
        ]
        self._frames = np.array(frames, np.int32)
        self._labels = len(inventory.values)
        self.length = np.ones(len(texts), np.int32)

    def rows(self, indices: Sequence[int], shape: Shape) -> FrameLabels:
        """Return some of them as targets."""
        length_B = self._frames[list(indices)]
        holds_BAN = np.zeros((len(indices), shape.frames, self._labels), bool)
        for row, index in enumerate(indices):
            for label, frames in self._segments[index]:
                if label >= 0:
                    holds_BAN[row, frames.start : min(frames.stop, length_B[row]), label] = True
        return FrameLabels(holds_BAN, length_B)


class NumberRows:
    """One number per example, in deviations from the mean."""

    def __init__(self, texts: Sequence[str], inventory: Inventory):
        numbers = np.array([*map(float, texts)])
        self._number = ((numbers - inventory.mean) / inventory.deviation).astype(np.float32)
        self.length = np.ones(len(texts), np.int32)

    def rows(self, indices: Sequence[int], shape: Shape) -> Number:
        """Return some of them as targets."""
        return Number(self._number[list(indices)])


Targets = TokenRows | LabelRows | TagRows | FrameRows | NumberRows


def targets_of(
    task: Task,
    rows: Sequence[Row],
    starts: Sequence[Sequence[int]],
    tokenizer: Tokenizer,
    inventory: Inventory | None,
) -> Targets:
    """Return a task's targets.

    Args:
        task: whose outputs are taken.
        rows: the examples.
        starts: of a text source, where each word's tokens begin.
        tokenizer: of texts.
        inventory: of the task's head; None where it writes tokens of the vocabulary.

    Raises:
        UsageError: an output is not of its kind; the message names the example.
    """
    texts = [output_text(row, task) for row in rows]
    if inventory is None:
        return TokenRows(map(tokenizer.encode, texts))
    for i, (row, text) in enumerate(zip(rows, texts, strict=True)):
        _require_kind(task, row, text, len(starts[i]) if starts else 0)
    match task.target:
        case "label":
            return LabelRows(texts, inventory)
        case "tags":
            return TagRows(texts, starts, inventory)
        case "symbols":
            index = {value: FIRST_SYMBOL + i for i, value in enumerate(inventory.values)}
            return TokenRows([index.get(symbol, UNK) for symbol in t.split()] for t in texts)
        case "frames":
            return FrameRows(texts, [num_frames(row.num_samples) for row in rows], inventory)
        case "number":
            return NumberRows(texts, inventory)
        case "transcript" | "translation" | "text":
            raise AssertionError(f"{task.name}: an inventory for texts")


def output_text(row: Row, task: Task) -> str:
    """Return a task's expected output for a row, as text; empty where it has none."""
    match task.target:
        case "transcript":
            return row.source_text
        case "translation":
            return row.target_text
        case "text" | "label" | "tags" | "symbols" | "frames" | "number":
            return row.labels.get(task.column, "")


def place(row: Row, task: Task) -> str:
    """Return what an error names as the place of a row's expected output."""
    return f"task {task.name!r}: example {row.id!r}: column {task.column!r}"


def require_number(text: str, where: str) -> None:
    """Raise UsageError unless a text is a finite number."""
    try:
        ok = math.isfinite(float(text))
    except ValueError:
        ok = False
    if not ok:
        raise UsageError(
            f"{where}: expected a number, found {text!r}; correct the data and prepare it again"
        )


def without_target(target: Target, row: int | slice) -> None:
    """Take the target of one or more rows away, in place."""
    match target:
        case Tokens():
            target.tokens_BT[row] = PAD
        case Label():
            target.label_B[row] = 0
        case Tags():
            target.label_BS[row] = 0
        case FrameLabels():
            target.length_B[row] = 0
        case Number():
            target.number_B[row] = np.nan


def blank_target(task: Task, count: int, shape: Shape, inventory: Inventory | None) -> Target:
    """Return targets of zeros, which take no memory."""

    def zeros(dtype: type, *axes: int) -> np.ndarray:
        return np.broadcast_to(dtype(0), (count, *axes))

    match None if inventory is None else task.target:
        case "label":
            return Label(zeros(np.int32))
        case "tags":
            return Tags(zeros(np.int32, shape.source))
        case "frames":
            assert inventory is not None
            labels = len(inventory.values)
            return FrameLabels(zeros(np.bool_, shape.frames, labels), zeros(np.int32))
        case "number":
            return Number(zeros(np.float32))
        case _:
            return Tokens(zeros(np.int32, shape.target))


def pad(sequences: Sequence[np.ndarray], width: int) -> np.ndarray:
    """Join token sequences into one array; shorter ones end in padding."""
    out = np.full((len(sequences), width), PAD, np.int32)
    for row, tokens in enumerate(sequences):
        out[row, : len(tokens)] = tokens
    return out


def _require_kind(task: Task, row: Row, text: str, words: int) -> None:
    where = place(row, task)
    match task.target:
        case "tags":
            if len(text.split()) != words:
                raise UsageError(
                    f"{where}: expected a tag for each of {words} words, found {len(text.split())};"
                    " correct the data and prepare it again"
                )
        case "frames":
            seconds = row.num_samples / 16_000
            for segment in parse_segments(text, where):
                if segment.end > seconds + 0.05:
                    raise UsageError(
                        f"{where}: expected segments within the recording's {seconds:g} s, found "
                        f"one to {segment.end:g} s; correct the data and prepare it again"
                    )
        case "number":
            require_number(text, where)
        case _:
            pass
