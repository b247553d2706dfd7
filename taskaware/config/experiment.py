"""An experiment: all that a run depends on, validated."""

from dataclasses import dataclass, field
from typing import Literal

from taskaware.config.checks import (
    _require,
    _require_not_negative,
    _require_positive,
    _require_positive_if_given,
)
from taskaware.config.decoding import Decoding
from taskaware.config.model import ModelConfig
from taskaware.config.task import Task
from taskaware.config.training import Batching, Meta, OptimizerConfig, SpecAugment
from taskaware.config.wiring import head_of, require_heads_fit
from taskaware.errors import require_known


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All that a run depends on."""

    tasks: tuple[Task, ...]
    tokenizer: str
    """A SentencePiece model written by ``taskaware vocab``."""
    model: ModelConfig = field(default_factory=ModelConfig)
    batching: Batching = field(default_factory=Batching)
    spec_augment: SpecAugment = field(default_factory=SpecAugment)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    decoding: Decoding = field(default_factory=Decoding)
    strategy: Literal["joint", "maml"] = "joint"
    meta: Meta = field(default_factory=Meta)
    """Of strategy maml."""
    train_on: tuple[str, ...] = ()
    """Names of the tasks that are trained; empty for all. All are scored."""
    start_from: str | None = None
    """A run folder whose newest parameters this run starts from; more tasks may follow its own."""
    frozen: bool = False
    """Train only what the trained tasks have for themselves, the explicit TCN's parameters and
    heads that no other task has: no other output changes."""
    steps: int = 600_000
    """0 with start_from: nothing is trained, only tasks are added."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 1000
    keep: int = 2
    """Newest checkpoints that are kept, to choose from or to average, besides the best."""
    max_skipped: int = 10
    """A batch whose loss or gradient is not finite is skipped; so many in a row end the run."""
    validate_every: int | None = None
    """Steps between losses on the validation split; None for none."""
    mesh_data: int | None = None
    """Devices over which the batch's rows are split; None for all that the other two axes leave."""
    mesh_fsdp: int = 1
    """Devices over which rows and weights are split; a layer's weights are sent when it runs."""
    mesh_tensor: int = 1
    """Devices over which each layer's heads and hidden units are split."""

    def __post_init__(self):
        """Raise UsageError on an experiment that cannot be run."""
        names = [task.name for task in self.tasks]
        _require(len(set(names)) == len(names) > 0, self, "tasks", "one or more distinct names")
        _require_positive(self, "log_every", "save_every", "keep", "max_skipped")
        _require(self.start_from != "", self, "start_from", "a run folder or None")
        ok = self.steps >= (self.start_from is None)
        _require(ok, self, "steps", "positive, or 0 where start_from is set")
        require_heads_fit(self.tasks, self.model)
        for name in (*self.train_on, *self.meta.tasks):
            self.task(name)
        learns = self.model.conditioning == "explicit" and self.model.film.kind != "mask"
        ok = not self.frozen or self.start_from is not None
        _require(ok, self, "frozen", "start_from a run")
        ok = not self.frozen or learns or bool(self.new_heads)
        expected = "explicit conditioning without masks, or a trained task with its own head"
        _require(ok, self, "frozen", expected)
        _require_positive(self, "mesh_fsdp", "mesh_tensor")
        ok = self.model.num_heads % self.mesh_tensor == 0
        _require(ok, self, "mesh_tensor", f"a divisor of num_heads = {self.model.num_heads}")
        _require_not_negative(self, "seed")
        _require_positive_if_given(self, "validate_every", "mesh_data")

    @property
    def trained(self) -> tuple[int, ...]:
        """Indices of the trained tasks."""
        names = self.train_on or [task.name for task in self.tasks]
        return tuple(index for index, task in enumerate(self.tasks) if task.name in names)

    @property
    def new_heads(self) -> tuple[str, ...]:
        """Names of the heads that only trained tasks have, where some task is not trained."""
        heads = [head_of(task, self.model).name for task in self.tasks]
        trained = {heads[index] for index in self.trained}
        others = {head for index, head in enumerate(heads) if index not in self.trained}
        return tuple(sorted(trained - others)) if others else ()

    def task(self, name: str) -> Task:
        """Return the task of that name, or raise UsageError with the nearest one."""
        names = [task.name for task in self.tasks]
        require_known(name, names, "task")
        return self.tasks[names.index(name)]
