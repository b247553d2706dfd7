"""What the rows of this table share: Table 3's data, steps and explicit TCN.

They differ in what the task vector does to the model, and where.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config import Experiment, FiLMConfig
from taskaware.workflows.first_run import base_experiment

data = {
    "data/toy/data": "taskaware prepare toy --out {out} --train 6000 --validation 100 --test 400",
    "data/toy/tokenizer.model": "taskaware vocab --data data/toy/data --size 800 --out {out}",
}
"""What rows need, and the command that makes each."""


def modulated(**choices) -> Experiment:
    """Return the experiment of a row, by its fields of ``FiLMConfig``."""
    base = replace(base_experiment(Path("data/toy"), steps=1800, seed=0), save_every=100, keep=5)
    model = replace(base.model, conditioning="explicit", film=FiLMConfig(**choices))
    return replace(base, model=model)
