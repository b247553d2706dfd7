"""How a model is trained: batches, masks, optimizer, meta learning."""

from dataclasses import dataclass
from typing import Literal

from taskaware.config.checks import (
    _require,
    _require_not_negative,
    _require_positive,
    _require_positive_if_given,
)


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How examples become batches of a bounded number of shapes (paper §2.3, D13, D16)."""

    size: int = 16
    """Examples per task, or tokens and source positions per task."""
    unit: Literal["examples", "tokens"] = "examples"
    """Of size; tokens are target tokens or, for speech, source positions, whichever fill it first,
    so that short examples come in larger batches."""
    mixing: Literal["all_tasks", "one_task"] = "all_tasks"
    """Every batch holds rows of every task, or of one task."""
    alpha: float = 0.0
    """Tasks are drawn with p ∝ n^alpha, n examples each: 0 is uniform, 1 proportional."""
    corpus_alpha: float = 1.0
    """A folder of n examples is drawn with p ∝ n^corpus_alpha, for tasks with several folders: 1
    joins them as they are, 0 draws from each as often (temperature 1 / corpus_alpha)."""
    buckets: int = 4
    """Number of buckets of similar length; each is one compiled shape."""
    edges: Literal["equal_mass", "least_padding"] = "equal_mass"
    """Bucket boundaries: by source length, so that buckets hold equally many; or by source and
    target length so that padding costs least, for large data and tens of buckets."""
    max_seconds: float = 30.0
    max_tokens: int = 256
    """Longer examples are left out of training, and counted."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_positive(self, "size", "buckets", "max_tokens")
        _require(self.max_seconds > 0, self, "max_seconds", "positive")  # infinite: no limit
        _require_not_negative(self, "alpha", "corpus_alpha")


@dataclass(frozen=True, kw_only=True)
class SpecAugment:
    """Masks over log-mel frames of training speech (Park et al. 2019; widths of policy SS)."""

    frequency_masks: int = 0
    """Bands of neighboring channels set to zero per utterance; 2 in policy SS."""
    frequency_width: int = 27
    """F: widest band, in channels."""
    time_masks: int = 0
    """Runs of neighboring frames set to zero per utterance; 2 in policy SS."""
    time_width: int = 70
    """T: longest run, in frames of 10 ms."""
    time_share: float = 0.2
    """p: longest run, as a share of the utterance."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_not_negative(self, "frequency_masks", "time_masks")
        _require_positive(self, "frequency_width", "time_width")
        _require(0 < self.time_share <= 1, self, "time_share", "in (0, 1]")

    @property
    def is_on(self) -> bool:
        """Whether there is any mask."""
        return self.frequency_masks + self.time_masks > 0


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Adam and its schedule (paper Table 8; TensorFlow Model Garden for the formula)."""

    learning_rate: float = 2.0
    """A factor: lr = factor · d_model^-0.5 · min(1, step/warmup) / √max(step, warmup)."""
    warmup_steps: int = 16000
    beta1: float = 0.9
    beta2: float = 0.997
    epsilon: float = 1e-9
    clip_norm: float | None = 1.0
    """Largest global norm of the gradient; None for no clipping."""
    label_smoothing: float = 0.1
    accumulate: int = 1
    """Batches whose gradients are averaged before one update."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_positive(self, "learning_rate", "epsilon", "warmup_steps", "accumulate")
        _require_positive_if_given(self, "clip_norm")
        for name in ("beta1", "beta2", "label_smoothing"):
            _require(0 <= getattr(self, name) < 1, self, name, "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Meta:
    """Meta learning: inner SGD on a support batch, outer loss on a query batch (§2.3; D14).

    A task adapts on its own support batch and is judged by its own query batch. The TCN is not
    adapted: only the outer update changes it.
    """

    inner_learning_rate: float = 0.05
    inner_steps: int = 1
    order: Literal["first", "second"] = "first"
    """``second``: the outer gradient goes through the inner steps, exact, for twice the time."""
    tasks: tuple[str, ...] = ()
    """Meta-train tasks, which adapt; empty for all. The others' query loss is taken unadapted.
    Meta-test tasks are all of ``Experiment.train_on``."""
    remat: bool = False
    """Recompute the inner steps for the outer gradient, to save memory."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_not_negative(self, "inner_learning_rate")
        _require_positive(self, "inner_steps")
