"""Multi30k spoken, implicit, with every 20th caption and a small model: the way, not the number.

    python experiments/multi30k_speech/make.py MULTI30K data/multi30k_speech_5 --share 0.05
    taskaware vocab --data data/multi30k_speech_5 --size 1500 --out data/multi30k_speech_5.model
    taskaware train experiments/multi30k_speech/five_percent.py --out runs/multi30k_speech/five
    taskaware evaluate runs/multi30k_speech/five

Paper: not in it.
Obtained: ST 3.2 BLEU, ASR 90.9 WER, MT 2.2 BLEU, confusion 0.0 % on 50 captions of
test_2016_flickr; all four commands took 5 minutes on one CPU core (2026-11-22).
"""

from dataclasses import replace

from base import base

from taskaware.config import Batching, OptimizerConfig, small_model

experiment = replace(
    base,
    tasks=tuple(replace(task, data=("data/multi30k_speech_5",)) for task in base.tasks),
    tokenizer="data/multi30k_speech_5.model",
    model=small_model(),
    batching=Batching(size=16, buckets=2, max_seconds=8.0, max_tokens=60),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    steps=300,
    log_every=50,
    save_every=100,
)
