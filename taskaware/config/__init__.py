"""Every choice of an experiment as a frozen dataclass, validated.

Reading order: checks ← task ← heads ← model ← training ← decoding ← wiring ← experiment ← file.
"""

from taskaware.config.decoding import Decoding
from taskaware.config.experiment import Experiment
from taskaware.config.model import FiLMConfig, ModelConfig, TCNConfig, paper_model, small_model
from taskaware.config.task import MetricName, Task, has_spaces
from taskaware.config.training import Batching, Meta, OptimizerConfig, SpecAugment

__all__ = [
    "Batching",
    "Decoding",
    "Experiment",
    "FiLMConfig",
    "Meta",
    "MetricName",
    "ModelConfig",
    "OptimizerConfig",
    "SpecAugment",
    "TCNConfig",
    "Task",
    "has_spaces",
    "paper_model",
    "small_model",
]
