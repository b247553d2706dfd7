"""How texts are decoded."""

from dataclasses import dataclass

from taskaware.config.checks import _require, _require_not_negative, _require_positive


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Beam search (defaults of the code whose parameters Table 8 lists; D15)."""

    beam_size: int = 4
    length_penalty: float = 0.6
    """α of ((5 + length) / 6)^α, by which a hypothesis' log probability is divided."""
    extra_length: int = 50
    """Tokens that an output may have beyond the number of source positions."""
    ctc_weight: float | None = None
    """Share of CTC in the scores of joint CTC/attention; None for what each task was trained by."""
    examples: int = 16
    """Training examples whose task vectors are averaged before decoding (D7)."""
    batch_size: int = 32
    """Sources decoded together, over all devices of a process; a GPU is faster with more."""

    def __post_init__(self):
        """Raise UsageError on values out of range."""
        _require_positive(self, "beam_size", "extra_length", "examples", "batch_size")
        _require_not_negative(self, "length_penalty")
        ok = self.ctc_weight is None or 0 <= self.ctc_weight <= 1
        _require(ok, self, "ctc_weight", "from 0 to 1, or None")
