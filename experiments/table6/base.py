"""What the rows of Table 6 share: one data set per task, as in the paper's §6.1.2.

Different audio: ASR hears other sentences than ST, over a telephone, and MT reads a third set. The
same audio: the three tasks of Table 3. Without task information only the second should fail.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config import Experiment
from taskaware.workflows.first_run import base_experiment

SIZES = "--train 6000 --validation 100 --test 400"
data = {
    "data/toy/data": f"taskaware prepare toy --out {{out}} {SIZES}",
    "data/toy/tokenizer.model": "taskaware vocab --data data/toy/data --size 800 --out {out}",
    "data/toy_telephone": (
        f"taskaware prepare toy --out {{out}} {SIZES} --seed 1 --sound telephone"
    ),
    "data/toy_text": f"taskaware prepare toy --out {{out}} {SIZES} --seed 2 --sound none",
}

same = replace(base_experiment(Path("data/toy"), steps=1800, seed=0), save_every=100, keep=5)
_st, _asr, _mt = same.tasks
different = replace(
    same,
    tasks=(_st, replace(_asr, data=("data/toy_telephone",)), replace(_mt, data=("data/toy_text",))),
)


def conditioned(experiment: Experiment, conditioning: str) -> Experiment:
    """Return the experiment with another way to tell the model its task."""
    return replace(experiment, model=replace(experiment.model, conditioning=conditioning))
