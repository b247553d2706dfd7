"""Six slots of a spoken order, each a label with its own head, without transcripts.

    python experiments/heads/data.py DATA data barista
    taskaware vocab --data data/barista --labels coffeeDrink roast size numberOfShots milkAmount \
        sugarAmount --size 60 --out data/barista.model
    taskaware train experiments/heads/barista/slots.py --out runs/barista
    taskaware evaluate runs/barista
    python experiments/heads/baseline.py data/barista coffeeDrink roast size numberOfShots \
        milkAmount sugarAmount

Paper: not in it.
Obtained after 800 steps (76 s of processor time, 103 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed, accuracy: coffeeDrink 12.5, roast 66.1, size 60.7,
numberOfShots 35.7, milkAmount 71.4, sugarAmount 44.6. Always the most frequent answer gets 16.1,
75.0, 62.5, 57.1, 76.8, 44.6: nothing is learned from 168 orders without a transcript.
"""

from dataclasses import replace

from taskaware.config import (
    Batching,
    Experiment,
    FiLMConfig,
    OptimizerConfig,
    SpecAugment,
    Task,
    small_model,
)
from taskaware.config.heads import LabelConfig

SLOTS = ("coffeeDrink", "roast", "size", "numberOfShots", "milkAmount", "sugarAmount")

experiment = Experiment(
    tasks=tuple(
        Task(name=slot, source="speech", target="label", column=slot, data=("data/barista",))
        for slot in SLOTS
    ),
    tokenizer="data/barista.model",
    model=replace(
        small_model(),
        conditioning="explicit",
        film=FiLMConfig(stacks="heads"),
        heads=tuple(LabelConfig(name=slot, pooling="attention") for slot in SLOTS),
        d_model=64,
        d_ff=256,
        dropout=0.1,
    ),
    batching=Batching(size=4, buckets=1, max_seconds=15.0),
    spec_augment=SpecAugment(frequency_masks=2, frequency_width=20, time_masks=2, time_width=40),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    steps=800,
    log_every=100,
    save_every=800,
)
