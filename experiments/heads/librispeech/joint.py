"""Read English of 94 test utterances: ASR by joint CTC/attention, phones, speakers.

    python experiments/heads/data.py DATA data librispeech
    taskaware vocab --data data/librispeech --size 100 --out data/librispeech.model
    taskaware train experiments/heads/librispeech/joint.py --out runs/librispeech-heads
    taskaware evaluate runs/librispeech-heads
    python experiments/heads/baseline.py data/librispeech speaker

Paper: not in it.
Obtained after 500 steps (90 s of processor time, 110 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: WER 97.4, CER 75.2, PER 96.5, speaker accuracy 23.4 of
94 utterances. Logistic regression on means and deviations of log-mels: 98.9 for the speaker. Half
an hour of speech and so few steps teach no words.
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
from taskaware.config.heads import CTCConfig

DATA = ("data/librispeech",)
speech = partial(Task, source="speech", data=DATA)

experiment = Experiment(
    tasks=(
        speech(name="asr", target="transcript", ctc_weight=0.3, more_metrics=("cer",)),
        speech(name="speaker", target="label", column="speaker"),
        speech(name="phones", target="symbols", column="phones"),
    ),
    tokenizer="data/librispeech.model",
    model=replace(
        small_model(),
        conditioning="explicit",
        film=FiLMConfig(stacks="heads"),
        heads=(CTCConfig(rate=2), CTCConfig(name="phones", rate=2)),
        encoder_layers=2,
        decoder_layers=2,
        dropout=0.1,
    ),
    batching=Batching(size=4, buckets=1, max_seconds=12.5),
    spec_augment=SpecAugment(frequency_masks=2, frequency_width=20, time_masks=2, time_width=40),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    decoding=Decoding(beam_size=4, extra_length=20),
    steps=500,
    log_every=100,
    save_every=500,
)
