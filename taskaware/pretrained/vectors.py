"""Task vectors as files: which examples each is the mean of, and which model it belongs to.

A task vector is the TCN's output for a task (paper §2.3: "precomputed task embeddings"). It is
valid for one model only, from which γ and β come, so every file names that model by its digest.
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from taskaware.errors import UsageError, require_known
from taskaware.files.strict_json import load, load_stored
from taskaware.files.whole import write_text

FORMAT = 1
_MOST = 2**28
"""Bytes of a file: adapters of every block of the paper's model are 10 MB per task."""


@dataclass(frozen=True, kw_only=True)
class TaskVector:
    """One task vector and where it comes from."""

    name: str
    """The task's name; of a mixture, its weights and tasks."""
    vector: tuple[float, ...]
    examples: tuple[str, ...] = ()
    """Ids of the training examples that it is the mean of."""
    seed: int = 0
    """Of the draw of those examples."""

    def __post_init__(self):
        """Raise UsageError on a vector that is empty or not finite."""
        if not self.vector or not all(map(math.isfinite, self.vector)):
            raise UsageError(f"task vector {self.name!r}: expected finite numbers, found others")

    @property
    def array(self) -> Float[np.ndarray, " Z"]:
        """The vector in float32, as it was computed."""
        return np.array(self.vector, np.float32)


class Nearest(NamedTuple):
    """Which task a vector is nearest to."""

    name: str
    distance: float
    """Euclidean, for γ and β are linear in the vector."""
    far: bool
    """Whether that is farther than from this task to its nearest neighbor."""


@dataclass(frozen=True, kw_only=True)
class TaskVectors:
    """Task vectors of one model, as they are stored."""

    format: int = FORMAT
    model: str
    """SHA-256 of the model's parameters: ``pretrained.digest``."""
    vectors: tuple[TaskVector, ...]

    def __post_init__(self):
        """Raise UsageError on vectors of different widths, or two of one name."""
        names = [vector.name for vector in self.vectors]
        widths = {len(vector.vector) for vector in self.vectors}
        if len(widths) != 1 or len(set(names)) != len(names):
            raise UsageError(
                "task vectors: expected one or more of one width and of different names, found "
                f"{', '.join(f'{v.name} of {len(v.vector)}' for v in self.vectors) or 'none'}"
            )

    @classmethod
    def load(cls, path: str | Path) -> "TaskVectors":
        """Read a file that ``save`` wrote; anything else is a UsageError."""
        return load(cls, path, FORMAT, most=_MOST)

    @classmethod
    def load_stored(cls, path: Path) -> "TaskVectors | None":
        """Read the file of a run folder, if there is one; it can be made again."""
        return load_stored(cls, path, None, version=FORMAT, most=_MOST)

    def to_json(self) -> str:
        """Return them as one line of JSON, from which every bit can be restored."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    def save(self, path: str | Path) -> None:
        """Write ``to_json`` to a file, whole or not at all."""
        try:
            write_text(Path(path), self.to_json())
        except OSError as error:
            raise UsageError(f"{path}: cannot be written ({error.strerror})") from None

    @property
    def array(self) -> Float[np.ndarray, "N Z"]:
        """All vectors, in their order."""
        return np.stack([vector.array for vector in self.vectors])

    def named(self, name: str) -> TaskVector:
        """Return the vector of a name, or raise UsageError with the nearest one."""
        require_known(name, [vector.name for vector in self.vectors], "task vector")
        return next(vector for vector in self.vectors if vector.name == name)

    def of(self, names: Sequence[str], columns: Int[np.ndarray, " Z"], model: str) -> "TaskVectors":
        """Return some of the vectors, and some of their numbers, for a model with fewer tasks."""
        kept = [self.named(name) for name in names]
        vectors = [replace(one, vector=tuple(one.array[columns].tolist())) for one in kept]
        return TaskVectors(model=model, vectors=tuple(vectors))

    def mix(self, weights: Mapping[str, float]) -> TaskVector:
        """Return Σ weight · vector: between two tasks, or the mean of several.

        Args:
            weights: by name; their sum is 1, or γ = 1 + t would not keep its scale.

        Example:
            >>> a, b = TaskVector(name="a", vector=(0.0,)), TaskVector(name="b", vector=(4.0,))
            >>> TaskVectors(model="", vectors=(a, b)).mix({"a": 0.75, "b": 0.25}).vector
            (1.0,)
        """
        total = math.fsum(weights.values())
        if not math.isclose(total, 1, abs_tol=1e-6):
            raise UsageError(f"mix: expected weights whose sum is 1, found {total:g}")
        parts = [(weight, self.named(name)) for name, weight in weights.items()]
        mixed_Z = np.sum([weight * np.array(part.vector) for weight, part in parts], axis=0)
        return TaskVector(
            name=" + ".join(f"{weight:g} {part.name}" for weight, part in parts),
            vector=tuple(mixed_Z.astype(np.float32).tolist()),
            examples=tuple(dict.fromkeys(id for _, part in parts for id in part.examples)),
        )

    def require_model(self, model: str, where: str) -> None:
        """Raise UsageError unless these are vectors of the model of that digest."""
        if self.model != model:
            raise UsageError(
                f"{where}: task vectors of another model (expected {model[:12]}…, found "
                f"{self.model[:12]}…); make them anew with taskaware embed"
            )

    def why_doubted(self, vector: TaskVector) -> str | None:
        """Return a line that warns of a vector far from all of these, or None."""
        neighbor = self.nearest(vector)
        if not neighbor.far:
            return None
        return (
            f"warning: task vector {vector.name!r} is far from every known task (nearest is "
            f"{neighbor.name} at {neighbor.distance:.3g}, farther than from there to the next task)"
            "; do not trust what it writes"
        )

    def nearest(self, vector: TaskVector) -> Nearest:
        """Return which of these tasks a vector is nearest to, and whether it is far from all.

        Far means farther from its nearest task than that task is from its nearest neighbor: then
        the model has been trained on nothing similar. Among fewer than two tasks nothing is far.
        """
        tasks_NZ, one_Z = self.array.astype(np.float64), np.array(vector.vector)
        if one_Z.shape != tasks_NZ.shape[1:]:
            raise UsageError(
                f"task vector {vector.name!r}: expected {tasks_NZ.shape[1]} numbers, found "
                f"{len(one_Z)}"
            )
        distance_N = np.linalg.norm(tasks_NZ - one_Z[None], axis=1)
        best = int(distance_N.argmin())
        others = np.linalg.norm(np.delete(tasks_NZ, best, axis=0) - tasks_NZ[best][None], axis=1)
        far = len(others) > 0 and bool(distance_N[best] > others.min())
        return Nearest(self.vectors[best].name, float(distance_N[best]), far)
