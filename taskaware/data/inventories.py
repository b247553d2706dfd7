"""What the heads of an experiment can answer, read off the training data."""

import statistics
from collections.abc import Sequence

from taskaware.config import ModelConfig, Task
from taskaware.config.wiring import Inventory, head_of, writes_tokens
from taskaware.data.corpora.base import PreparedCorpus, Row
from taskaware.data.targets import output_text, place, require_number
from taskaware.data.tasks import folders_with, nothing_serves, serves
from taskaware.files.segments import parse_segments


def read_inventories(tasks: Sequence[Task], model: ModelConfig) -> dict[str, Inventory]:
    """Return the inventory of each head that does not write texts, by the head's name.

    Tasks that share a head share the union of their values.

    Raises:
        UsageError: a task's data is missing, or has no example of it.
    """
    values: dict[str, list[str]] = {}
    numeric: set[str] = set()
    corpora: dict[str, PreparedCorpus] = {}
    for task in tasks:
        head = head_of(task, model)
        if writes_tokens(head, task):
            continue
        for folder in task.data:
            if folder not in corpora:
                corpora[folder] = PreparedCorpus(folder)
        folders = folders_with("train", task, {folder: corpora[folder] for folder in task.data})
        rows = [r for folder in folders for r in corpora[folder].rows("train") if serves(r, task)]
        if not rows:
            raise nothing_serves(task, "train")
        values.setdefault(head.name, []).extend(
            value for row in rows for value in _values(row, task)
        )
        if task.target == "number":
            numeric.add(head.name)
    return {
        name: _scale(found) if name in numeric else Inventory(values=tuple(sorted(set(found))))
        for name, found in values.items()
    }


def _values(row: Row, task: Task) -> list[str]:
    text, where = output_text(row, task), place(row, task)
    match task.target:
        case "tags" | "symbols":
            return text.split()
        case "frames":
            return [segment.label for segment in parse_segments(text, where)]
        case "number":
            require_number(text, where)
            return [text]
        case _:
            return [text]


def _scale(texts: Sequence[str]) -> Inventory:
    numbers = [*map(float, texts)]
    return Inventory(mean=statistics.fmean(numbers), deviation=statistics.pstdev(numbers) or 1.0)
