"""Which tasks share which heads, and what the heads answer with."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from taskaware.config.checks import _require, _require_positive
from taskaware.config.heads import (
    CTCConfig,
    DecoderConfig,
    FramesConfig,
    HeadConfig,
    LabelConfig,
    NumberConfig,
    TagsConfig,
    Wiring,
)
from taskaware.config.model import ModelConfig
from taskaware.config.task import Task
from taskaware.errors import UsageError, nearest

ENCODER = "encoder"
"""The stack that no head may be named as."""
FIRST_SYMBOL = 3
"""Index of an inventory's first symbol, after padding, end and unknown."""


@dataclass(frozen=True)
class Inventory:
    """What a head can answer: values that its tasks' training examples have."""

    values: tuple[str, ...] = ()
    """Labels, tags or symbols, sorted; none of a number."""
    mean: float = 0.0
    deviation: float = 1.0
    """Of a number, as the head's outputs are scaled."""

    def __post_init__(self):
        """Raise UsageError on numbers that nothing can be scaled by."""
        _require(math.isfinite(self.mean), self, "mean", "a finite number")
        _require_positive(self, "deviation")

    def index(self, value: str) -> int:
        """Return a value's index, from 1; 0 if training has not seen it."""
        return self._index.get(value, 0)

    @functools.cached_property
    def _index(self) -> Mapping[str, int]:
        return {value: place for place, value in enumerate(self.values, 1)}


Inventories = Mapping[str, Inventory]
"""By the head's name; none of heads that write texts."""
NO_INVENTORIES: Inventories = {}


def head_of(task: Task, model: ModelConfig) -> HeadConfig:
    """Return a task's head: the one it names, or the usual one of its target.

    Raises:
        UsageError: there is no head of that name, or its answers are of another kind.
    """
    usual = _usual(task)
    name = task.head or usual.name
    built_in: dict[str, HeadConfig] = {"decoder": DecoderConfig(), "ctc": CTCConfig()}
    heads = built_in | {usual.name: usual} | {head.name: head for head in model.heads}
    if name not in heads:
        raise UsageError(
            f"task {task.name!r}: unknown head {name!r}; expected one of {', '.join(heads)}"
            f"{nearest(name, [*heads])}"
        )
    if not _fits(heads[name], task):
        raise UsageError(
            f"task {task.name!r}: expected a head for target {task.target!r}, found {name!r} of "
            f"kind {heads[name].kind!r}; name another, or leave it to the usual one"
        )
    return heads[name]


def ctc_of(task: Task, model: ModelConfig) -> HeadConfig | None:
    """Return the CTC head beside a task's decoder, if its loss has one.

    Raises:
        UsageError: the head of that name is of another kind.
    """
    return (
        head_of(dataclasses.replace(task, head="ctc", ctc_weight=0.0), model)
        if task.ctc_weight
        else None
    )


def writes_tokens(head: HeadConfig, task: Task) -> bool:
    """Return whether a task's answers are tokens of the vocabulary that all tasks share."""
    return isinstance(head, DecoderConfig) or (isinstance(head, CTCConfig) and task.is_text)


def require_heads_fit(tasks: Sequence[Task], model: ModelConfig) -> None:
    """Raise UsageError on a head without tasks, or one whose tasks need different ones."""
    users = _users(tasks, model)
    for head in model.heads:
        if head.name not in users:
            raise UsageError(
                f"heads: no task has head {head.name!r}; name it in a task, or leave it out"
            )


def _users(tasks: Sequence[Task], model: ModelConfig) -> dict[str, list[tuple[HeadConfig, Task]]]:
    """Return the tasks of each head by its name, or raise UsageError where they cannot share it."""
    users: dict[str, list[tuple[HeadConfig, Task]]] = {}
    for task in tasks:
        for head in (head_of(task, model), ctc_of(task, model)):
            if head is not None:
                users.setdefault(head.name, []).append((head, task))
    for name, ((first_head, first), *others) in users.items():
        if name == ENCODER:
            raise UsageError(
                f"head {name!r}: expected another name, for a stack that is no head has this one; "
                f"name another in task {first.name!r}"
            )
        for head, task in others:
            if _answers(head, task) != _answers(first_head, first):
                raise UsageError(
                    f"head {name!r}: expected tasks with the same column of the same kind, found "
                    f"{first.name!r} with {first.target} {first.column!r} and {task.name!r} with "
                    f"{task.target} {task.column!r}; give one of them another head"
                )
            if (first.role == "adversarial") != (task.role == "adversarial"):
                raise UsageError(
                    f"head {name!r}: expected all of its tasks adversarial or none, found "
                    f"{first.name!r} and {task.name!r}; give one of them another head"
                )
    return users


def _answers(head: HeadConfig, task: Task) -> tuple[HeadConfig, str, str]:
    """Return what tasks of one head have in common: the head, and what it answers with."""
    if writes_tokens(head, task):
        return head, "tokens", ""
    return head, task.target, task.column


def wiring_of(tasks: Sequence[Task], model: ModelConfig, inventories: Inventories) -> Wiring:
    """Return a model's heads, in the order of the tasks, decoders first, and who has which.

    Raises:
        UsageError: an inventory is missing, or tasks cannot share a head.
    """
    outputs: dict[HeadConfig, int | None] = {}
    adversarial: set[str] = set()
    for name, sharing in _users(tasks, model).items():
        for head, task in sharing:
            tokens = writes_tokens(head, task)
            outputs[head] = None if tokens else _size(head, inventories)
            adversarial |= {name} if task.role == "adversarial" else set()
    order = sorted(outputs, key=lambda head: not isinstance(head, DecoderConfig))
    return Wiring(
        tuple(order),
        tuple(outputs[head] for head in order),
        tuple(head_of(task, model).name for task in tasks),
        tuple(sorted(adversarial)),
    )


def inventory_of(head: HeadConfig, inventories: Inventories) -> Inventory:
    """Return what a head can answer, or raise UsageError."""
    if head.name not in inventories:
        raise UsageError(
            f"head {head.name!r}: expected an inventory of what it answers, found none; "
            f"there are those of {', '.join(inventories) or 'no head'}"
        )
    return inventories[head.name]


def inventories_by_task(
    tasks: Sequence[Task], model: ModelConfig, inventories: Inventories
) -> Mapping[str, Inventory]:
    """Return each task's inventory, of those whose head does not write texts.

    Raises:
        UsageError: one is missing.
    """
    heads = [(task, head_of(task, model)) for task in tasks]
    return {
        task.name: inventory_of(head, inventories)
        for task, head in heads
        if not writes_tokens(head, task)
    }


def _size(head: HeadConfig, inventories: Inventories) -> int:
    inventory = inventory_of(head, inventories)
    match head:
        case NumberConfig():
            return 1
        case CTCConfig():
            return FIRST_SYMBOL + len(inventory.values)
        case LabelConfig() | TagsConfig() | FramesConfig():
            return len(inventory.values)
        case DecoderConfig():
            raise AssertionError("a decoder writes tokens")
        case _:
            assert_never(head)


def _usual(task: Task) -> HeadConfig:
    match task.target:
        case "transcript" | "translation" | "text":
            return DecoderConfig()
        case "label":
            return LabelConfig(name=task.column)
        case "tags":
            return TagsConfig(name=task.column)
        case "symbols":
            return CTCConfig(name=task.column)
        case "frames":
            return FramesConfig(name=task.column)
        case "number":
            return NumberConfig(name=task.column)
        case _:
            assert_never(task.target)


def _fits(head: HeadConfig, task: Task) -> bool:
    match head:
        case DecoderConfig():
            return task.is_text or task.target in ("label", "tags", "symbols")
        case CTCConfig():
            return task.is_text or task.target == "symbols"
        case LabelConfig():
            return task.target == "label"
        case TagsConfig():
            return task.target == "tags"
        case FramesConfig():
            return task.target == "frames"
        case NumberConfig():
            return task.target == "number"
        case _:
            assert_never(head)
