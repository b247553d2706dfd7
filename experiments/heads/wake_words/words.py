"""Six wake words, as a label and spelled by CTC.

    python experiments/heads/data.py DATA data wake_words
    taskaware vocab --data data/wake_words --size 30 --out data/wake_words.model
    taskaware train experiments/heads/wake_words/words.py --out runs/wake_words
    taskaware evaluate runs/wake_words
    python experiments/heads/baseline.py data/wake_words word

Paper: not in it.
Obtained after 600 steps (50 s of processor time, 27 to 81 s on two cores of an AMD EPYC server that
did other work meanwhile, 2026-12-01), three seeds: word accuracy 96.3 ± 2.1, spelled by CTC WER
31.9 ± 6.8. Logistic regression on means and deviations of log-mels: 77.8 (93.1 where it learns from
four fifths).
"""

from dataclasses import replace

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

DATA = ("data/wake_words",)

experiment = Experiment(
    tasks=(
        Task(name="word", source="speech", target="label", column="word", data=DATA),
        Task(name="spelled", source="speech", target="transcript", head="ctc", data=DATA),
    ),
    tokenizer="data/wake_words.model",
    model=replace(
        small_model(),
        conditioning="explicit",
        film=FiLMConfig(stacks="heads"),
        d_model=64,
        d_ff=256,
        cnn_channels=(8, 16, 32),
        dropout=0.1,
    ),
    batching=Batching(size=16, buckets=1),
    spec_augment=SpecAugment(frequency_masks=2, frequency_width=20, time_masks=2, time_width=25),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    decoding=Decoding(beam_size=4, extra_length=20),
    steps=600,
    log_every=100,
    save_every=600,
)
