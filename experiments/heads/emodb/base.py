"""Acted emotions, several tasks on the same clips: what the experiments of this folder share.

    python experiments/heads/data.py DATA data emodb emodb_sentences
    taskaware vocab --data data/emodb --size 100 --out data/emodb.model

Splits of ``data/emodb`` share no speaker, so emotions are those of people whom training has not
heard; splits of ``data/emodb_sentences`` share no sentence, so the same can be asked of speakers.
"""

from dataclasses import replace
from functools import partial

from taskaware.config import (
    Batching,
    Experiment,
    FiLMConfig,
    OptimizerConfig,
    SpecAugment,
    Task,
    small_model,
)

german = partial(Task, source="speech", source_language="de")
emotion = german(
    name="emotion",
    target="label",
    column="emotion",
    more_metrics=("uar",),
    data=("data/emodb",),
)
speaker = german(name="speaker", target="label", column="speaker", data=("data/emodb_sentences",))
phones = german(name="phones", target="symbols", column="phones", data=("data/emodb",))

base = Experiment(
    tasks=(emotion, phones),
    tokenizer="data/emodb.model",
    # 25 positions a second by the encoder, for up to 15 phones.
    model=replace(
        small_model(),
        conditioning="explicit",
        film=FiLMConfig(stacks="heads"),
        d_model=64,
        d_ff=256,
        encoder_layers=2,
        cnn_channels=(16, 32),
        dropout=0.1,
    ),
    batching=Batching(size=16, buckets=1),
    spec_augment=SpecAugment(frequency_masks=2, frequency_width=20, time_masks=2, time_width=25),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    steps=800,
    log_every=100,
    save_every=800,
)
