"""Spoken digits, five tasks on the same recordings: what the experiments of this folder share.

    python experiments/heads/data.py DATA data fsdd
    taskaware vocab --data data/fsdd --size 30 --out data/fsdd.model

The encoder's output is the same for all tasks (``stacks="heads"``), so what an adversarial task
makes it forget, it forgets for the others too.
"""

from dataclasses import replace
from functools import partial

from taskaware.config import (
    Batching,
    Decoding,
    Experiment,
    FiLMConfig,
    OptimizerConfig,
    SpecAugment,
    Task,
    small_model,
)

DATA = ("data/fsdd",)
asr = partial(Task, source="speech", target="transcript", data=DATA)
label = partial(Task, source="speech", target="label", source_language="", data=DATA)

base = Experiment(
    tasks=(
        asr(name="asr_ctc", head="ctc"),
        asr(name="asr_decoder"),
        asr(name="asr_joint", ctc_weight=0.3),
        label(name="digit", column="digit"),
        label(name="speaker", column="speaker"),
    ),
    tokenizer="data/fsdd.model",
    # Two convolutions, since a digit of 0.3 s has to have more positions than letters.
    model=replace(
        small_model(),
        conditioning="explicit",
        film=FiLMConfig(stacks="heads"),
        d_model=64,
        d_ff=256,
        decoder_layers=1,
        cnn_channels=(16, 32),
    ),
    batching=Batching(size=16, buckets=2),
    spec_augment=SpecAugment(frequency_masks=2, frequency_width=15, time_masks=1, time_width=10),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    decoding=Decoding(beam_size=4, extra_length=5),
    steps=800,
    log_every=100,
    save_every=800,
)
