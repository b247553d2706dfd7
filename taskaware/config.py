"""Every choice of an experiment as a frozen dataclass, validated."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from taskaware.errors import UsageError, require_known

Metric = Literal["bleu", "wer", "cer"]
_WITHOUT_SPACES = (
    "zh zho chi cmn yue wuu hak nan lzh ja jpn th tha lo lao km khm my mya bo bod".split()
)


def has_spaces(language: str) -> bool:
    """Return whether a language, by its ISO 639 code, is written with spaces between words."""
    return re.split("[-_]", language.lower())[0] not in _WITHOUT_SPACES


@dataclass(frozen=True, kw_only=True)
class Task:
    """What goes in and what must come out: ASR is speech → transcript, MT text → translation."""

    name: str
    source: Literal["speech", "text"]
    target: Literal["transcript", "translation"]
    metric: Metric
    """BLEU of translations, WER of transcripts (paper §3.2), CER where no spaces part words."""
    source_language: str = "en"
    target_language: str = "de"
    """Language of the translation; unused by a transcript."""
    data: tuple[str, ...] = ()
    """Folders written by ``taskaware prepare``; several are joined."""
    prefix: str = ""
    """Put before every source text, as "translate from English to German" (Raffel et al. 2019;
    the paper's OHV baseline, §3.1.1)."""
    max_examples: int = 0
    """Train on no more examples than these, drawn at random by the run's seed, and average the
    vectors of all of them for decoding; 0 for all, and ``decoding.examples``."""

    def __post_init__(self):
        """Raise UsageError on a name no file can have, a spoken prefix, or no words to count."""
        _require_not_negative(self, "max_examples")
        _require(re.fullmatch(r"\w[\w.-]*", self.name) is not None, self, "name", "a word")
        text = self.source == "text" or not self.prefix
        _require(text, self, "prefix", "none before speech, which has no text to put it before")
        ok = self.metric != "wer" or has_spaces(self.output_language)
        _require(ok, self, "metric", f"cer, as {self.output_language} has no spaces between words")

    @property
    def output_language(self) -> str:
        """The language of what must come out."""
        return self.source_language if self.target == "transcript" else self.target_language

    @property
    def tokens(self) -> tuple[str, str]:
        """The task in Whisper's manner (Radford et al. 2022): output language and what to do."""
        verb = "transcribe" if self.target == "transcript" else "translate"
        return f"<|{self.output_language}|>", f"<|{verb}|>"


@dataclass(frozen=True, kw_only=True)
class FiLMConfig:
    """How the task vector modulates the model (paper eq. 6-7; ambiguities D1-D4)."""

    kind: Literal["film", "adapter", "mask"] = "film"
    """γ and β (eq. 7). To compare with, under explicit conditioning: residual adapters of each
    task's own (Houlsby et al. 2019), or fixed random masks (Strezoski et al. 2019)."""
    placement: Literal["block_output", "residual_branch", "norm"] = "block_output"
    """D1: each block's whole output, residual included (the letter of eq. 7); each residual
    branch before it is added; or each branch's normed input (adaLN)."""
    scale: Literal["one_plus", "direct"] = "one_plus"
    """Of film, D2: γ = 1 + t[:d], or γ = t[:d] (the letter of eq. 6)."""
    sharing: Literal["all_blocks", "per_stack", "per_block", "per_block_offset"] = "all_blocks"
    """D3: one γ, β for everything (the letter of eq. 6); one for either side, encoder and decoder;
    one for each block; or one plus an offset a block, learned from zero, that is every task's."""
    init: Literal["task_distinct", "zero", "lecun"] = "task_distinct"
    """How t starts. task_distinct: γ part 0, β part random, so tasks differ from the first step and
    γ^L stays 1. zero: the identity when γ = 1 + t, for trained weights. lecun: both random."""
    adapter_width: int = 16
    """Hidden units of an adapter."""
    open_share: float = 0.5
    """Share of the features that a mask leaves to a task."""

    def __post_init__(self):
        """Raise UsageError on values out of range, or on a γ that would start at zero."""
        _require_positive(self, "adapter_width")
        _require(0 < self.open_share <= 1, self, "open_share", "in (0, 1]")
        ok = self.sharing != "per_block_offset" or self.kind != "mask"
        _require(ok, self, "sharing", "without offsets, which are learned, where kind is mask")
        ok = self.scale == "one_plus" or self.init == "lecun"
        _require(ok, self, "init", "lecun when scale is direct, where γ has no 1 to start from")


@dataclass(frozen=True, kw_only=True)
class TCNConfig:
    """Shape of the implicit Task Characteristics Network (paper eq. 2-5; D5, D10-D12)."""

    width: int = 128
    """With 128 and d_ff 1024 under d_model 512 it has 0.99 M parameters, the paper's 1 M."""
    d_ff: int = 1024
    num_heads: int = 4
    num_layers: int = 1
    """Transformer blocks in TE, and again in TE_u."""
    scaled: bool = False
    """D10: divide the bi-directional attention's scores by √width; Luong's dot product does not."""
    stop_gradient: bool = False
    """D5: whether the frontends learn nothing from being looked at by the TCN."""

    def __post_init__(self):
        """Raise UsageError on a shape that cannot be built."""
        _require_positive(self, "width", "d_ff", "num_heads", "num_layers")


@dataclass(frozen=True, kw_only=True)
class Model:
    """The Transformer, its frontends and its conditioning (paper Table 8, multi modality)."""

    d_model: int = 512
    num_heads: int = 8
    d_ff: int = 1024
    encoder_layers: int = 12
    decoder_layers: int = 12
    norm: Literal["pre", "post"] = "pre"
    """Norm before each branch plus one at the end of each stack, or after each residual."""
    dropout: float = 0.1
    cnn_channels: tuple[int, ...] = (64, 64, 64)
    """Of each convolution, which halves time and frequency; the paper names three (§3.2) alone."""
    conditioning: Literal["vanilla", "explicit", "implicit", "tokens"] = "implicit"
    """No task information; a one-hot task id (eq. 1); an example of the task (eq. 2-5); or the
    task's tokens, as <|de|><|translate|>, before what the decoder writes (Whisper's manner)."""
    injection: Literal["film", "input"] = "film"
    """Where an explicit or implicit task embedding goes: into γ and β (eq. 6-7), or as a vector
    before source and target (input-based conditioning, §3.3.2)."""
    film: FiLMConfig = field(default_factory=FiLMConfig)
    tcn: TCNConfig = field(default_factory=TCNConfig)
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products' operands; sums, norms, γ, β and parameters stay float32."""
    scan: bool = False
    """Compile one block and loop over it: less to compile, the same numbers and parameters."""
    remat: Literal["none", "minimal", "full"] = "none"
    """What a block computes again for the gradient, to save memory: nothing; all but the products
    with its weights; or all, from its input alone. The numbers stay; on CPUs only with scan."""

    def __post_init__(self):
        """Raise UsageError on a shape that cannot be built."""
        _require_positive(self, "d_model", "num_heads", "d_ff")
        _require_positive(self, "encoder_layers", "decoder_layers")
        _require(min(self.cnn_channels, default=0) > 0, self, "cnn_channels", "positive numbers")
        _require(self.d_model % self.num_heads == 0, self, "d_model", "a multiple of num_heads")
        _require(self.d_model % 2 == 0, self, "d_model", "even, for sine and cosine positions")
        _require(self.tcn.width % self.tcn.num_heads == 0, self, "tcn", "width % num_heads == 0")
        _require(0 <= self.dropout < 1, self, "dropout", "in [0, 1)")
        ok = self.film.kind == "film" or self.conditioning in ("explicit", "vanilla")
        _require(ok, self, "conditioning", f"explicit where film.kind is {self.film.kind}")

    @property
    def stride(self) -> int:
        """Frames of speech that a position of the encoder stands for: 10 ms each."""
        return 2 ** len(self.cnn_channels)


def paper_model(**changes: Any) -> Model:
    """Return Table 8's model with eq. 6-7 to the letter, where the letter is stable.

    Direct γ on whole block outputs compounds as γ^L in pre-norm blocks, so the blocks are
    post-norm, as in the Transformer that the paper cites.
    """
    film = FiLMConfig(placement="block_output", scale="direct", sharing="all_blocks", init="lecun")
    return dataclasses.replace(Model(norm="post", film=film), **changes)


def small_model() -> Model:
    """Return a model of about a million parameters for small speech data on two CPU cores."""
    return Model(
        d_model=128,
        num_heads=8,
        d_ff=512,
        encoder_layers=1,  # learns to listen in fewer steps than 2 + 2
        decoder_layers=3,
        cnn_channels=(8, 16, 32),
        dropout=0.0,  # 0.1 only slowed learning
        tcn=TCNConfig(width=64, d_ff=256),
    )


@dataclass(frozen=True, kw_only=True)
class Batching:
    """How examples become batches of a bounded number of shapes (paper §2.3, D13, D16)."""

    size: int = 16
    """Examples a task (unit examples), or tokens and frames a task (unit tokens)."""
    unit: Literal["examples", "tokens"] = "examples"
    """static: so many examples; dynamic: so many target tokens or, of speech, source positions,
    whichever fills first, so that short examples come in larger batches."""
    mixing: Literal["all_tasks", "one_task"] = "all_tasks"
    """Every batch holds rows of every task, or of one task."""
    alpha: float = 0.0
    """Tasks are drawn with p ∝ n^alpha, n examples each: 0 is uniform, 1 proportional."""
    corpus_alpha: float = 1.0
    """Of a task with several folders, one of n examples is drawn with p ∝ n^corpus_alpha: 1 joins
    them as they are, 0 draws from each as often (temperature 1 / corpus_alpha)."""
    buckets: int = 4
    """Lengths are cut into so many buckets; each is one compiled shape."""
    edges: Literal["equal_mass", "least_padding"] = "equal_mass"
    """Where they are cut: by source length, so that buckets hold the same number; or by source and
    target length where least work is lost to padding, for large data and tens of buckets."""
    max_seconds: float = 30.0
    max_tokens: int = 256
    """Longer examples are left out of training, and counted."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_positive(self, "size", "buckets", "max_tokens")
        _require(self.max_seconds > 0, self, "max_seconds", "positive")  # infinite: no limit
        _require_not_negative(self, "alpha", "corpus_alpha")


@dataclass(frozen=True, kw_only=True)
class SpecAugment:
    """Masks over log-mel frames of training speech (Park et al. 2019; widths of policy SS)."""

    frequency_masks: int = 0
    """Bands of neighboring channels put to zero in each utterance; 2 in policy SS."""
    frequency_width: int = 27
    """Channels that a band may have: F."""
    time_masks: int = 0
    """Stretches of neighboring frames put to zero; 2 in policy SS."""
    time_width: int = 70
    """Frames, of 10 ms, that a stretch may have: T."""
    time_share: float = 0.2
    """Share of the utterance that a stretch may have: p."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_not_negative(self, "frequency_masks", "time_masks")
        _require_positive(self, "frequency_width", "time_width")
        _require(0 < self.time_share <= 1, self, "time_share", "in (0, 1]")

    @property
    def is_on(self) -> bool:
        """Whether there is any mask."""
        return self.frequency_masks + self.time_masks > 0


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Adam and its schedule (paper Table 8; TensorFlow Model Garden for the formula)."""

    learning_rate: float = 2.0
    """A factor: lr = factor · d_model^-0.5 · min(1, step/warmup) / √max(step, warmup)."""
    warmup_steps: int = 16000
    beta1: float = 0.9
    beta2: float = 0.997
    epsilon: float = 1e-9
    clip_norm: float = 1.0
    """Global norm of the gradient; 0 leaves it alone."""
    label_smoothing: float = 0.1
    accumulate: int = 1
    """Batches whose gradients are averaged before one update."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_positive(self, "learning_rate", "epsilon", "warmup_steps", "accumulate")
        _require_not_negative(self, "clip_norm")
        for name in ("beta1", "beta2", "label_smoothing"):
            _require(0 <= getattr(self, name) < 1, self, name, "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class Meta:
    """Meta learning: inner SGD on a support batch, outer loss on a query batch (§2.3; D14).

    A task adapts on its own support batch and is judged by its own query batch. The TCN is not
    adapted: the outer update alone reaches it.
    """

    inner_learning_rate: float = 0.05
    inner_steps: int = 1
    order: Literal["first", "second"] = "first"
    """Whether the outer gradient goes through the inner steps: exact, for twice the time."""
    tasks: tuple[str, ...] = ()
    """Meta-train: those that adapt; empty for all. The others' query loss is taken unadapted.
    Meta-test are all tasks of ``Experiment.train_on``."""
    remat: bool = False
    """Compute inner steps again for the outer gradient instead of keeping them: less memory."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_not_negative(self, "inner_learning_rate")
        _require_positive(self, "inner_steps")


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Beam search (values of the code whose parameters Table 8 lists; D15)."""

    beam_size: int = 4
    length_penalty: float = 0.6
    """α of ((5 + length) / 6)^α, by which a hypothesis' log probability is divided."""
    extra_length: int = 50
    """At most so many tokens more than the source has positions."""
    examples: int = 16
    """Training examples whose task vectors are averaged before decoding (D7)."""
    batch_size: int = 32
    """Sources decoded together, over all devices of a process; more of them fill a GPU."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_positive(self, "beam_size", "extra_length", "examples", "batch_size")
        _require_not_negative(self, "length_penalty")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """All that a run depends on."""

    tasks: tuple[Task, ...]
    tokenizer: str
    """A SentencePiece model written by ``taskaware vocab``."""
    model: Model = field(default_factory=Model)
    batching: Batching = field(default_factory=Batching)
    spec_augment: SpecAugment = field(default_factory=SpecAugment)
    optimizer: Optimizer = field(default_factory=Optimizer)
    decoding: Decoding = field(default_factory=Decoding)
    strategy: Literal["joint", "maml"] = "joint"
    meta: Meta = field(default_factory=Meta)
    """Of strategy maml."""
    train_on: tuple[str, ...] = ()
    """Names of the tasks that are trained; empty for all. All are scored."""
    start_from: str = ""
    """A run folder with whose newest parameters this one begins. Tasks may stand behind its own."""
    frozen: bool = False
    """Change only what the explicit TCN holds for each trained task: no other's output changes."""
    steps: int = 600_000
    """0 with start_from: only the tasks are other ones."""
    seed: int = 0
    log_every: int = 50
    save_every: int = 1000
    keep: int = 2
    """Newest checkpoints that stay, to choose from or to average, besides the best."""
    max_skipped: int = 10
    """A batch whose loss or gradient is not finite is skipped; so many in a row end the run."""
    validate_every: int = 0
    """Steps between losses on the validation split; 0 for none."""
    mesh_data: int = -1
    """Devices over which the batch's rows are split; -1: all that the other two leave."""
    mesh_fsdp: int = 1
    """Devices over which rows, and weights too, are split; a layer's are sent when it runs."""
    mesh_tensor: int = 1
    """Devices over which each layer's heads and hidden units are split."""

    def __post_init__(self):
        """Raise UsageError on an experiment that cannot be run."""
        names = [task.name for task in self.tasks]
        _require(len(set(names)) == len(names) > 0, self, "tasks", "one or more distinct names")
        _require_positive(self, "log_every", "save_every", "keep", "max_skipped")
        ok = self.steps >= (not self.start_from)
        _require(ok, self, "steps", "positive, or 0 where start_from is set")
        learns = self.model.conditioning == "explicit" and self.model.film.kind != "mask"
        ok = not self.frozen or (learns and self.start_from != "")
        _require(ok, self, "frozen", "start_from a run of explicit conditioning without masks")
        _require_positive(self, "mesh_fsdp", "mesh_tensor")
        ok = self.model.num_heads % self.mesh_tensor == 0
        _require(ok, self, "mesh_tensor", f"a divisor of num_heads = {self.model.num_heads}")
        _require_not_negative(self, "seed", "validate_every")
        _require(self.mesh_data == -1 or self.mesh_data > 0, self, "mesh_data", "positive or -1")
        for name in (*self.train_on, *self.meta.tasks):
            self.task(name)

    @property
    def trained(self) -> tuple[int, ...]:
        """The trained tasks, by their place among all."""
        names = self.train_on or [task.name for task in self.tasks]
        return tuple(index for index, task in enumerate(self.tasks) if task.name in names)

    def task(self, name: str) -> Task:
        """Return the task of that name, or raise UsageError with the nearest one."""
        names = [task.name for task in self.tasks]
        require_known(name, names, "task")
        return self.tasks[names.index(name)]


def _require_positive(config: Any, *names: str) -> None:
    for name in names:
        _require(0 < getattr(config, name) < math.inf, config, name, "positive")


def _require_not_negative(config: Any, *names: str) -> None:
    for name in names:
        _require(0 <= getattr(config, name) < math.inf, config, name, "0 or more")


def _require(ok: bool, config: Any, name: str, expected: str) -> None:
    if not ok:
        raise UsageError(
            f"{type(config).__name__}.{name}: expected {expected}, found {getattr(config, name)!r}"
        )
