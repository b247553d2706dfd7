"""The wirings of multi-task learning on the embedded corpus: what the experiments share.

    taskaware prepare toy --train 1500 --test-seen --out data/wirings
    taskaware vocab --data data/wirings --size 300 --out data/wirings.model

A wiring is which tasks share a source, an encoder and a head. Nothing else differs between these
files but the tasks, and no file says which head shares what: tasks of the same column have the
same head unless they name others.
"""

from dataclasses import replace
from functools import partial

from taskaware.config import Batching, Decoding, Experiment, OptimizerConfig, Task, small_model

DATA = ("data/wirings",)
speech = partial(Task, source="speech", data=DATA)
text = partial(Task, source="text", data=DATA)


def wired(*tasks: Task) -> Experiment:
    """Return a short training of some tasks."""
    return Experiment(
        tasks=tasks,
        tokenizer="data/wirings.model",
        model=replace(small_model(), conditioning="explicit"),
        batching=Batching(size=8, buckets=1, max_seconds=6.0),
        optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
        decoding=Decoding(beam_size=4, extra_length=20),
        steps=600,
        log_every=100,
        save_every=600,
    )
