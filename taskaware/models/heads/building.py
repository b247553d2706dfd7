"""A model's heads, from their configuration."""

from typing import assert_never

from flax import nnx

from taskaware.config import ModelConfig
from taskaware.config.heads import (
    CTCConfig,
    DecoderConfig,
    FramesConfig,
    HeadConfig,
    LabelConfig,
    NumberConfig,
    TagsConfig,
)
from taskaware.models.heads.ctc import CTC
from taskaware.models.heads.decoder import Decoder
from taskaware.models.heads.pooled import LabelHead, NumberHead
from taskaware.models.heads.positions import FrameHead, TagHead

Head = Decoder | CTC | LabelHead | NumberHead | TagHead | FrameHead


def build_head(config: HeadConfig, model: ModelConfig, outputs: int, *, rngs: nnx.Rngs) -> Head:
    """Build a head with fresh weights.

    Args:
        config: of the head.
        model: the model's shape.
        outputs: how many tokens, labels or tags it tells apart.
        rngs: of the weights.
    """
    match config:
        case DecoderConfig():
            return Decoder(config, model, rngs=rngs)
        case CTCConfig():
            return CTC(config, model, outputs, rngs=rngs)
        case LabelConfig():
            return LabelHead(config, model, outputs, rngs=rngs)
        case TagsConfig():
            return TagHead(model, outputs, rngs=rngs)
        case FramesConfig():
            return FrameHead(model, outputs, rngs=rngs)
        case NumberConfig():
            return NumberHead(config, model, rngs=rngs)
        case _:
            assert_never(config)
