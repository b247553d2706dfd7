"""Eleven tasks of the embedded corpus on one model: what the experiments of this folder share."""

from taskaware.config import Batching, Decoding, Experiment, OptimizerConfig, Task, small_model

DATA = ("data/heads_toy",)

# What is learned from a few examples leaves the batch to what is not.
few = {"data": DATA, "max_examples": 1200}
spoken = {"source": "speech", "source_language": ""}  # in any language

TASKS = (
    Task(name="asr", source="speech", target="transcript", ctc_weight=0.3, data=DATA),
    Task(name="asr_ctc", source="speech", target="transcript", head="ctc", data=DATA),
    Task(name="st", source="speech", target="translation", data=DATA),
    Task(name="mt", source="text", target="translation", data=DATA),
    Task(
        name="intent",
        target="label",
        column="intent",
        more_metrics=("macro_f1",),
        data=DATA,
        max_examples=3600,
        **spoken,
    ),
    Task(name="intent_text", source="text", target="label", column="intent", **few),
    Task(name="slots", source="text", target="tags", column="slots", **few),
    Task(
        name="marked",
        source="speech",
        target="text",
        column="marked",
        metric="slot_f1",
        more_metrics=("slot_cer", "wer"),
        data=DATA,
    ),
    Task(name="speaker", target="label", column="speaker", **spoken, **few),
    Task(name="language", target="label", column="language", **spoken, **few),
    Task(name="speech", target="frames", column="speech", more_metrics=("der",), **spoken, **few),
)

base = Experiment(
    tasks=TASKS,
    tokenizer="data/heads_toy.model",
    model=small_model(),
    batching=Batching(size=8, buckets=2, max_seconds=6.0),
    optimizer=OptimizerConfig(learning_rate=0.6, warmup_steps=300),
    decoding=Decoding(beam_size=4, extra_length=20),
    steps=6000,
    log_every=100,
    save_every=1000,
)
