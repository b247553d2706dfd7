"""What the rows of Table 3 share: the embedded corpus, and the quickstart's small model.

ST, ASR and MT of the very same sentences, ST and ASR of the very same audio: the hardest case of
the paper's §6.1.2. The last five checkpoints are kept, to choose from as the paper does.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config import Experiment, OptimizerConfig
from taskaware.workflows.first_run import base_experiment

data = {
    "data/toy/data": "taskaware prepare toy --out {out} --train 6000 --validation 100 --test 400",
    "data/toy/tokenizer.model": "taskaware vocab --data data/toy/data --size 800 --out {out}",
}
"""What rows need, and the command that makes each."""

base = replace(base_experiment(Path("data/toy"), steps=1800, seed=0), save_every=100, keep=5)


def conditioned(experiment: Experiment, conditioning: str, **model) -> Experiment:
    """Return the experiment with another way to tell the model its task."""
    changed = replace(experiment.model, conditioning=conditioning, **model)
    return replace(experiment, model=changed)


vanilla = conditioned(base, "vanilla")


def finetuned(row: str, experiment: Experiment) -> dict[str, Experiment]:
    """Return three short runs that go on from a row's model, each on one task alone."""
    common = replace(
        experiment,
        strategy="joint",
        start_from=f"runs/table3/{row}",
        optimizer=OptimizerConfig(learning_rate=0.3, warmup_steps=100),
        steps=300,
    )
    return {task.name: replace(common, train_on=(task.name,)) for task in common.tasks}
