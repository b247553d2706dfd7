"""What the three digit experiments share: three tasks on real voices, one small model."""

from taskaware.config import Batching, Decoding, Experiment, OptimizerConfig, Task, small_model

DATA = ("data/digits",)

base = Experiment(
    tasks=(
        Task(name="st", source="speech", target="translation", metric="wer", data=DATA),
        Task(name="asr", source="speech", target="transcript", metric="wer", data=DATA),
        Task(name="mt", source="text", target="translation", metric="wer", data=DATA),
    ),
    tokenizer="data/digits.model",
    model=small_model(),
    batching=Batching(size=16, buckets=2),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    decoding=Decoding(beam_size=4, extra_length=10),
    steps=1200,
    log_every=100,
    save_every=600,
)
