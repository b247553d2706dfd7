"""The model: its shape and its conditioning on the task."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from taskaware.config.checks import _require, _require_positive
from taskaware.config.heads import HeadConfig, require_distinct


@dataclass(frozen=True, kw_only=True)
class FiLMConfig:
    """How the task vector modulates the model (paper eq. 6-7; ambiguities D1-D4)."""

    kind: Literal["film", "adapter", "mask"] = "film"
    """γ and β (eq. 7). For comparison, under explicit conditioning: residual adapters of each
    task's own (Houlsby et al. 2019), or fixed random masks (Strezoski et al. 2019)."""
    placement: Literal["block_output", "residual_branch", "norm"] = "block_output"
    """D1: each block's whole output, residual included (the letter of eq. 7); each residual
    branch before it is added; or each branch's normed input (adaLN)."""
    stacks: Literal["both", "encoder", "heads"] = "both"
    """What is modulated. With heads alone (decoders, and what other heads read) the encoder's
    output is the same for all tasks, and is computed once where one input has several."""
    scale: Literal["one_plus", "direct"] = "one_plus"
    """Of film, D2: γ = 1 + t[:d], or γ = t[:d] (the letter of eq. 6)."""
    sharing: Literal["all_blocks", "per_stack", "per_block", "per_block_offset"] = "all_blocks"
    """D3: one γ, β for everything (the letter of eq. 6); one per stack, encoder and decoder; one
    per block; or one plus an offset per block, learned from zero and shared by all tasks."""
    init: Literal["task_distinct", "zero", "lecun"] = "task_distinct"
    """How t starts. task_distinct: γ part 0, β part random, so tasks differ from the first step and
    γ^L stays 1. zero: the identity when γ = 1 + t, for trained weights. lecun: both random."""
    adapter_width: int = 16
    """Hidden units of an adapter."""
    open_share: float = 0.5
    """Share of the features that a mask keeps for a task."""

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
    """D5: whether no gradient flows from the TCN into the frontends."""

    def __post_init__(self):
        """Raise UsageError on a shape that cannot be built."""
        _require_positive(self, "width", "d_ff", "num_heads", "num_layers")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
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
    """Of each convolution, which halves time and frequency; the paper (§3.2) states only three."""
    heads: tuple[HeadConfig, ...] = ()
    """Heads that differ from the usual ones, which need not be listed; tasks name them."""
    conditioning: Literal["vanilla", "explicit", "implicit", "tokens"] = "implicit"
    """No task information; a one-hot task id (eq. 1); an example of the task (eq. 2-5); or the
    task's tokens, as ``<|de|><|translate|>``, before the output (as in Whisper)."""
    injection: Literal["film", "input"] = "film"
    """Where an explicit or implicit task vector goes: into γ and β (eq. 6-7), or as a vector
    before source and target (input-based conditioning, §3.3.2)."""
    film: FiLMConfig = field(default_factory=FiLMConfig)
    tcn: TCNConfig = field(default_factory=TCNConfig)
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of matrix products' operands; sums, norms, γ, β and parameters stay float32."""
    scan: bool = False
    """Compile one block and loop over it: less to compile, the same results and parameters."""
    remat: Literal["none", "minimal", "full"] = "none"
    """What a block recomputes for the gradient, to save memory: nothing; all but the products with
    its weights; or all, from its input alone. Results are the same; on CPUs only with scan."""

    def __post_init__(self):
        """Raise UsageError on a shape that cannot be built."""
        _require_positive(self, "d_model", "num_heads", "d_ff")
        _require_positive(self, "encoder_layers", "decoder_layers")
        _require(min(self.cnn_channels, default=0) > 0, self, "cnn_channels", "positive numbers")
        _require(self.d_model % self.num_heads == 0, self, "d_model", "a multiple of num_heads")
        _require(self.d_model % 2 == 0, self, "d_model", "even, for sine and cosine positions")
        _require(self.tcn.width % self.tcn.num_heads == 0, self, "tcn", "width % num_heads == 0")
        _require(0 <= self.dropout < 1, self, "dropout", "in [0, 1)")
        require_distinct(self.heads, self)
        for head in self.heads:
            expected = f"a layer of head {head.name!r} from 1 to encoder_layers"
            _require((head.layer or 1) <= self.encoder_layers, self, "heads", expected)
        ok = self.film.kind == "film" or self.conditioning in ("explicit", "vanilla")
        _require(ok, self, "conditioning", f"explicit where film.kind is {self.film.kind}")

    @property
    def stride(self) -> int:
        """Frames of speech, of 10 ms each, per position of the encoder."""
        return 2 ** len(self.cnn_channels)


def paper_model(**changes: Any) -> ModelConfig:
    """Return Table 8's model with eq. 6-7 to the letter, where the letter is stable.

    Direct γ on whole block outputs compounds as γ^L in pre-norm blocks, so the blocks are
    post-norm, as in the Transformer that the paper cites.
    """
    film = FiLMConfig(placement="block_output", scale="direct", sharing="all_blocks", init="lecun")
    return dataclasses.replace(ModelConfig(norm="post", film=film), **changes)


def small_model() -> ModelConfig:
    """Return a model of about a million parameters for small speech data on two CPU cores."""
    return ModelConfig(
        d_model=128,
        num_heads=8,
        d_ff=512,
        encoder_layers=1,  # learns to listen in fewer steps than 2 + 2
        decoder_layers=3,
        cnn_channels=(8, 16, 32),
        dropout=0.0,  # 0.1 only slowed learning
        tcn=TCNConfig(width=64, d_ff=256),
    )
