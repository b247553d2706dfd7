"""An experiment without a default, and the least that is one."""

from taskaware.config import (
    Batching,
    Decoding,
    Experiment,
    FiLMConfig,
    Meta,
    ModelConfig,
    OptimizerConfig,
    SpecAugment,
    Task,
    TCNConfig,
)
from taskaware.config.heads import LabelConfig

SECTIONS = (
    Task,
    FiLMConfig,
    TCNConfig,
    ModelConfig,
    Batching,
    SpecAugment,
    OptimizerConfig,
    Meta,
    Decoding,
)
SECTIONS += (Experiment,)

# No field has its default.
UNUSUAL = Experiment(
    tasks=(
        Task(
            name="übersetzen",
            source="speech",
            target="label",
            column="intent",
            head="kind",
            metric="uar",
            more_metrics=("accuracy",),
            weight=0.5,
            role="adversarial",
            reversal=0.25,
            source_language="de",
            target_language="tr",
            data=("a b", "c"),
            max_examples=9,
            vector_examples=7,
        ),
        Task(name="mt", source="text", target="translation", metric="bleu", prefix="to German"),
    ),
    tokenizer="some/tokenizer.model",
    model=ModelConfig(
        d_model=48,
        num_heads=6,
        d_ff=7,
        encoder_layers=1,
        decoder_layers=2,
        norm="post",
        dropout=0.25,
        cnn_channels=(5, 7),
        heads=(LabelConfig(name="kind", pooling="attention", layer=1),),
        conditioning="explicit",
        injection="input",
        film=FiLMConfig(
            kind="adapter",
            placement="norm",
            stacks="heads",
            scale="direct",
            sharing="per_stack",
            init="lecun",
            adapter_width=5,
            open_share=0.25,
        ),
        tcn=TCNConfig(width=6, d_ff=9, num_heads=3, num_layers=2, scaled=True, stop_gradient=True),
        dtype="bfloat16",
        scan=True,
        remat="full",
    ),
    batching=Batching(
        size=2048,
        unit="tokens",
        mixing="one_task",
        alpha=0.5,
        corpus_alpha=0.25,
        edges="least_padding",
        buckets=3,
        max_seconds=12.5,
        max_tokens=99,
    ),
    spec_augment=SpecAugment(
        frequency_masks=2, frequency_width=15, time_masks=3, time_width=100, time_share=0.5
    ),
    optimizer=OptimizerConfig(
        learning_rate=0.1,
        warmup_steps=10,
        beta1=0.8,
        beta2=0.98,
        epsilon=1e-8,
        clip_norm=None,
        label_smoothing=0.0,
        accumulate=2,
    ),
    decoding=Decoding(
        ctc_weight=0.5, beam_size=1, length_penalty=1.0, extra_length=3, examples=2, batch_size=3
    ),
    strategy="maml",
    meta=Meta(inner_learning_rate=0.1, inner_steps=2, order="second", tasks=("mt",), remat=True),
    train_on=("mt",),
    start_from="runs/base",
    frozen=True,
    steps=5,
    seed=7,
    log_every=1,
    save_every=2,
    keep=5,
    max_skipped=4,
    validate_every=3,
    mesh_data=2,
    mesh_fsdp=4,
    mesh_tensor=2,
)

VALID = {
    "tasks": [{"name": "mt", "source": "text", "target": "translation", "metric": "bleu"}],
    "tokenizer": "t.model",
    "model": {"d_model": 64, "film": {"scale": "one_plus"}, "tcn": {"width": 64}},
    "batching": {"size": 8},
    "optimizer": {"learning_rate": 1.0},
    "decoding": {"beam_size": 2},
    "steps": 10,
}
