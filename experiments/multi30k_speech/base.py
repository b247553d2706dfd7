"""What the spoken Multi30k experiments share: three tasks, and a model for one GPU."""

from taskaware.config import Batching, Decoding, Experiment, ModelConfig, OptimizerConfig, Task

DATA = ("data/multi30k_speech",)

base = Experiment(
    tasks=(
        Task(name="st", source="speech", target="translation", metric="bleu", data=DATA),
        Task(name="asr", source="speech", target="transcript", metric="wer", data=DATA),
        Task(name="mt", source="text", target="translation", metric="bleu", data=DATA),
    ),
    tokenizer="data/multi30k_speech.model",
    model=ModelConfig(
        d_model=256,
        num_heads=4,
        d_ff=1024,
        encoder_layers=6,
        decoder_layers=6,
        cnn_channels=(32, 32, 32),
        dropout=0.1,
        dtype="bfloat16",
    ),
    batching=Batching(size=64, buckets=4, max_seconds=12.0, max_tokens=60),
    optimizer=OptimizerConfig(learning_rate=1.5, warmup_steps=4000),
    decoding=Decoding(beam_size=4, extra_length=30),
    steps=20_000,
    log_every=100,
    save_every=1000,
    keep=5,
)
