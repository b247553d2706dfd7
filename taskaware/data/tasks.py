"""A task's examples: the rows of prepared data that it uses, as tokens and as audio."""

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from taskaware.config import Batching, Task
from taskaware.config.wiring import Inventory
from taskaware.data.audio.features import log_mel, normalize, num_frames
from taskaware.data.corpora.base import PreparedCorpus, Row
from taskaware.data.targets import TokenRows, output_text, targets_of
from taskaware.data.tokenizer import Tokenizer
from taskaware.dims import FRAMES_PER_SECOND, MEL_CHANNELS, UNK
from taskaware.errors import UsageError

_CACHE_BYTES = 2**30
"""Of frames, for all recordings of the process together."""
_VALUE_BYTES = 4
_NONE: Mapping[str, Inventory] = {}
_reserving = threading.Lock()
_reserved: dict[int, int] = {}  # bytes per Recordings of this process that caches, by id


class Recordings:
    """The recordings of one split as normalized log-mel frames.

    Where all of them fit into what others have left of 1 GiB (a bit over nine hours), each is
    computed once and cached for all tasks and epochs: on few cores, computing them takes a ninth of
    a small model's training. The memory is free for others once this object is gone.

    Attributes:
        rows: the split's rows, in order.
    """

    def __init__(self, corpus: PreparedCorpus, split: str):
        self.rows = corpus.rows(split)
        self._corpus, self._split = corpus, split
        frames = sum(num_frames(row.num_samples) for row in self.rows)
        fits = self._reserve(frames * MEL_CHANNELS * _VALUE_BYTES)
        self._cache: dict[int, np.ndarray] | None = {} if fits else None

    def frames(self, index: int) -> Float32[np.ndarray, "frames C"]:
        """Return the frames (10 ms each) of a row; they may be shared, so do not change them."""
        if self._cache is not None and index in self._cache:
            return self._cache[index]
        frames = normalize(log_mel(self._corpus.audio(self._split, index)))
        if self._cache is not None:
            self._cache[index] = frames
        return frames

    def _reserve(self, size: int) -> bool:
        with _reserving:
            if size > _CACHE_BYTES - sum(_reserved.values()):
                return False
            _reserved[id(self)] = size
        weakref.finalize(self, _reserved.pop, id(self))
        return True


class TaskExamples:
    """All examples of a task in one split, ready to be batched.

    Attributes:
        task: whose examples they are.
        rows: their texts and ids.
        folder: the index, among the task's folders, of the one that each example comes from.
        target: the expected outputs, as arrays.
        inventory: what the task's head can answer; None of tokens of the vocabulary.
        word_starts: of tasks that tag words, where each word's tokens begin in the source.
        source_length: frames (10 ms each) of a speech source, tokens of a text source.
        relative_length: of each source or target, whichever is more, relative to the limit of
            training: above 1 is too long; zeros without limits.
        selection: indices of the examples that are used, in order.
        left_out: number of examples that were too long, or too short for one frame.
    """

    def __init__(
        self,
        task: Task,
        recordings: Sequence[Recordings],
        split: str,
        tokenizer: Tokenizer,
        limits: Batching | None = None,
        seed: int = 0,
        *,
        keep_long: bool = False,
        inventory: Inventory | None = None,
    ):
        self.task, self.inventory = task, inventory
        self._place: list[tuple[Recordings, int]] = []
        self.rows: list[Row] = []
        folders = []
        for number, source in enumerate(recordings):
            for index, row in enumerate(source.rows):
                if serves(row, task):
                    self._place.append((source, index))
                    self.rows.append(row)
                    folders.append(number)
        self.folder = np.array(folders, np.int32)
        if not self.rows:
            raise nothing_serves(task, split)
        self.source = None
        self.word_starts: list[list[int]] = []
        if task.source == "text":
            coded = [tokens_of_task(row.source_text, task, tokenizer) for row in self.rows]
            self.word_starts = [starts for _, starts in coded] if task.target == "tags" else []
            self.source = TokenRows(tokens for tokens, _ in coded)
            self.source_length = self.source.length
        else:
            frames = [num_frames(row.num_samples) for row in self.rows]
            self.source_length = np.array(frames, np.int32)
        self.target = targets_of(task, self.rows, self.word_starts, tokenizer, inventory)
        self.relative_length = np.zeros(len(self.rows))
        self.selection = np.arange(len(self.rows))
        if limits is not None:
            self.relative_length = self._relative_length(limits)
            if not keep_long:
                short = (self.relative_length <= 1) & (self.source_length > 0)
                self.selection = np.flatnonzero(short)
                if not len(self.selection):
                    raise nothing_short(task, limits)
        self.left_out = len(self.rows) - len(self.selection)
        few = task.max_examples is not None and task.max_examples < len(self.selection)
        if limits is not None and not keep_long and few:
            # The head of one permutation, so that a larger draw contains every smaller one.
            drawn = np.random.default_rng(seed).permutation(self.selection)[: task.max_examples]
            self.selection = np.sort(drawn)

    def __len__(self) -> int:
        """Return how many examples are used."""
        return len(self.selection)

    def references(self) -> list[str]:
        """Return the expected output of each example as text."""
        return [output_text(row, self.task) for row in self.rows]

    def unknown(self) -> list[int]:
        """Return the indices of examples whose target has characters that the tokenizer lacks."""
        return self.target.having(UNK) if isinstance(self.target, TokenRows) else []

    def about(self, index: int) -> dict[str, Any]:
        """Return what an answer's text depends on besides the answer: see ``search.as_text``."""
        if self.source is None:
            return {"frames": int(self.source_length[index])}
        return {"starts": self.word_starts[index]} if self.word_starts else {}

    def frames(self, index: int) -> Float32[np.ndarray, "frames C"]:
        """Return a speech example's normalized log-mel frames (10 ms each); do not change them."""
        recordings, position = self._place[index]
        return recordings.frames(position)

    def _relative_length(self, limits: Batching) -> Float[np.ndarray, " examples"]:
        spoken = self.task.source == "speech"
        longest = limits.max_seconds * FRAMES_PER_SECOND if spoken else limits.max_tokens
        target = self.target.length / limits.max_tokens
        return np.maximum(self.source_length / longest, target)


def load_tasks(
    tasks: Sequence[Task],
    split: str,
    tokenizer: Tokenizer,
    limits: Batching | None = None,
    seed: int = 0,
    *,
    keep_long: bool = False,
    inventories: Mapping[str, Inventory] = _NONE,
    absent: Callable[[str], None] | None = None,
) -> list[TaskExamples]:
    """Load every task's examples of a split; a folder that several tasks share is opened once.

    A folder without the split (augmented speech has only train) is skipped where another folder of
    the task has it. With limits, as for training, longer examples are left out, and ``seed`` draws
    the examples of a task that has ``max_examples``. ``inventories`` are by task, of those whose
    heads do not write texts. With ``keep_long``, as for evaluation, all
    examples are used and the limits only set ``relative_length``. A task without an example in the
    split is an error, unless ``absent`` is there to be told of it.

    Raises:
        UsageError: a folder is not prepared data, none of a task's folders has the split, or a task
            has no example.
    """
    corpora = {folder: PreparedCorpus(folder) for task in tasks for folder in task.data}
    used = [folders_with(split, task, corpora) for task in tasks]
    opened = {f: Recordings(corpora[f], split) for folders in used for f in folders}
    loaded = []
    for task, folders in zip(tasks, used, strict=True):
        try:
            loaded.append(
                TaskExamples(
                    *(task, [opened[f] for f in folders], split, tokenizer, limits, seed),
                    keep_long=keep_long,
                    inventory=inventories.get(task.name),
                )
            )
        except NoExampleError as error:
            if absent is None:
                raise
            absent(f"{error.what}: left out")
    if not loaded and tasks:
        raise nothing_serves(tasks[0], split)
    return loaded


def folders_with(split: str, task: Task, corpora: Mapping[str, PreparedCorpus]) -> tuple[str, ...]:
    """Return a task's folders without those known to lack a split, or all if none would be left."""
    lacking = {folder for folder, corpus in corpora.items() if split not in corpus.splits}
    return tuple(folder for folder in task.data if folder not in lacking) or task.data


class NoExampleError(UsageError):
    """A task has no example in a split."""

    def __init__(self, what: str):
        super().__init__(f"{what}; prepare such data or change the task")
        self.what = what


def nothing_serves(task: Task, split: str) -> NoExampleError:
    """Return the error for a task whose folders have no example of it."""
    languages = f" ({task.source_language} to {task.output_language})" if task.is_text else ""
    return NoExampleError(
        f"task {task.name!r}: no {task.source} example with {_needed(task)}{languages} in split "
        f"{split!r} of {', '.join(task.data) or 'no folder'}"
    )


def _needed(task: Task) -> str:
    return f"a label in column {task.column!r}" if task.column else f"a {task.target}"


def nothing_short(task: Task, limits: Batching) -> UsageError:
    """Return the error for a task all of whose examples are too long."""
    return UsageError(
        f"task {task.name!r}: every example is longer than batching.max_seconds "
        f"{limits.max_seconds:g} or batching.max_tokens {limits.max_tokens}; raise them"
    )


def serves(row: Row, task: Task) -> bool:
    """Return whether a row has the source and the output that a task needs."""
    return (task.source == "text" or row.num_samples > 0) and serves_output(row, task)


def serves_output(row: Row, task: Task) -> bool:
    """Return whether a row has the output that a task needs, whatever its source."""
    languages = task.source_language in ("", row.source_language) and (
        task.target != "translation" or row.target_language == task.target_language
    )
    return languages and bool(output_text(row, task))


def input_text(text: str, task: Task) -> str:
    """Return a text task's input: its prefix, if any, and the source text."""
    return f"{task.prefix} {text}".strip()


def tokens_of_task(text: str, task: Task, tokenizer: Tokenizer) -> tuple[Sequence[int], list[int]]:
    """Return a text task's input as tokens, and where each word that it tags begins."""
    if task.target != "tags":
        return tokenizer.encode(input_text(text, task)), []
    tokens: list[int] = list(tokenizer.encode(task.prefix)) if task.prefix else []
    starts = []
    for word in text.split():
        starts.append(len(tokens))
        tokens += tokenizer.encode(word)
    return tokens, starts
