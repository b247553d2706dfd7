"""Heads: how a model's outputs are made from its encoder's output, one class per kind."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from taskaware.config.checks import _require, _require_positive, _require_positive_if_given


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """An autoregressive decoder of tokens."""

    kind: Literal["decoder"] = "decoder"
    name: str = "decoder"
    layers: int | None = None
    """Blocks; None for the model's ``decoder_layers``."""
    layer: ClassVar[None] = None
    """It reads the last block's output, as ``ReaderConfig`` says of None."""

    def __post_init__(self):
        """Raise UsageError on a number of layers that cannot be built."""
        _require_positive_if_given(self, "layers")


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """What heads have in common that may read any encoder block."""

    layer: int | None = None
    """Which block's output it reads, from 1; None for the last one's, normed."""

    def __post_init__(self):
        """Raise UsageError on a layer below 1."""
        _require_positive_if_given(self, "layer")


@dataclass(frozen=True, kw_only=True)
class CTCConfig(ReaderConfig):
    """Tokens or symbols without a decoder (Graves et al. 2006), one or more per position."""

    kind: Literal["ctc"] = "ctc"
    name: str = "ctc"
    rate: int = 1
    """Outputs per position of the encoder. Three convolutions leave 12.5 positions a second, fewer
    than letters or phones need; 2 doubles them."""

    def __post_init__(self):
        """Raise UsageError on a rate or layer below 1."""
        super().__post_init__()
        _require_positive(self, "rate")


@dataclass(frozen=True, kw_only=True)
class LabelConfig(ReaderConfig):
    """One label per row, from the encoder's output pooled over time."""

    kind: Literal["label"] = "label"
    name: str
    pooling: Literal["mean", "attention"] = "mean"
    """Of valid positions: their mean, or their sum weighted by a learned softmax."""


@dataclass(frozen=True, kw_only=True)
class TagsConfig(ReaderConfig):
    """One tag per word of a text source."""

    kind: Literal["tags"] = "tags"
    name: str


@dataclass(frozen=True, kw_only=True)
class FramesConfig(ReaderConfig):
    """Which labels hold in each frame (10 ms) of a speech source."""

    kind: Literal["frames"] = "frames"
    name: str


@dataclass(frozen=True, kw_only=True)
class NumberConfig(ReaderConfig):
    """One number per row, from the encoder's output pooled over time."""

    kind: Literal["number"] = "number"
    name: str
    pooling: Literal["mean", "attention"] = "mean"
    """As in ``LabelConfig``."""


HeadConfig = DecoderConfig | CTCConfig | LabelConfig | TagsConfig | FramesConfig | NumberConfig


class Wiring(NamedTuple):
    """Which heads a model has, how many outputs each has, and which tasks share them."""

    heads: tuple[HeadConfig, ...] = (DecoderConfig(),)
    outputs: tuple[int | None, ...] = (None,)
    """Per head; None for the tokens of the model's vocabulary."""
    of_tasks: tuple[str, ...] | None = None
    """The name of each task's head; None where all tasks share the only one."""
    adversarial: tuple[str, ...] = ()
    """Heads whose gradient reaches the encoder reversed."""


def require_distinct(heads: tuple[HeadConfig, ...], config: object) -> None:
    """Raise UsageError unless heads have different names."""
    names = [head.name for head in heads]
    _require(len(set(names)) == len(names), config, "heads", "distinct names")
