"""Multi30k English to German as a text task, a few hundred steps end to end.

No row of the paper: it shows that text of any size goes through the same commands. Prepare the
data as ``make.py`` beside this file says, then

    taskaware train experiments/multi30k_text/implicit.py --out runs/multi30k
    taskaware evaluate runs/multi30k

Obtained after 500 steps (165 s on two CPU cores, 2026-11-20): BLEU 20.8 on test_2016_flickr,
detokenized and cased.
"""

from taskaware.config import (
    Batching,
    Decoding,
    Experiment,
    ModelConfig,
    OptimizerConfig,
    Task,
    TCNConfig,
)

experiment = Experiment(
    tasks=(
        Task(
            name="mt",
            source="text",
            target="translation",
            metric="bleu",
            data=("data/multi30k",),
        ),
    ),
    tokenizer="data/multi30k.model",
    model=ModelConfig(
        d_model=128,
        num_heads=4,
        d_ff=512,
        encoder_layers=2,
        decoder_layers=2,
        tcn=TCNConfig(width=64, d_ff=256),
    ),
    batching=Batching(size=64, buckets=2, max_tokens=40),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    decoding=Decoding(beam_size=4, extra_length=20),
    steps=500,
    log_every=50,
    save_every=500,
)
