"""A task: source, target, languages, metric and data."""

import re
from dataclasses import dataclass
from typing import Literal

from taskaware.config.checks import _require, _require_positive_if_given

MetricName = Literal["bleu", "wer", "cer"]
_WITHOUT_SPACES = (
    "zh zho chi cmn yue wuu hak nan lzh ja jpn th tha lo lao km khm my mya bo bod".split()
)


def has_spaces(language: str) -> bool:
    """Return whether a language, by its ISO 639 code, is written with spaces between words."""
    return re.split("[-_]", language.lower())[0] not in _WITHOUT_SPACES


@dataclass(frozen=True, kw_only=True)
class Task:
    """A source and a target: ASR is speech → transcript, MT text → translation."""

    name: str
    source: Literal["speech", "text"]
    target: Literal["transcript", "translation"]
    metric: MetricName | None = None
    """None for the usual one: BLEU of translations, WER of transcripts (paper §3.2), CER of those
    whose language has no spaces between words."""
    source_language: str = "en"
    target_language: str = "de"
    """Language of the translation; unused by a transcript."""
    data: tuple[str, ...] = ()
    """Folders written by ``taskaware prepare``; several are joined."""
    prefix: str = ""
    """Put before every source text, as "translate from English to German" (Raffel et al. 2019;
    the paper's OHV baseline, §3.1.1)."""
    max_examples: int | None = None
    """Most training examples, sampled by the run's seed; None for all."""
    vector_examples: int | None = None
    """Training examples whose mean is its vector for decoding; None for ``decoding.examples``."""

    def __post_init__(self):
        """Raise UsageError on a bad file name, a spoken prefix, or WER of text without spaces."""
        _require_positive_if_given(self, "max_examples", "vector_examples")
        _require(re.fullmatch(r"\w[\w.-]*", self.name) is not None, self, "name", "a word")
        text = self.source == "text" or not self.prefix
        _require(text, self, "prefix", "none before speech, which has no text to put it before")
        ok = self.metric_name != "wer" or has_spaces(self.output_language)
        _require(ok, self, "metric", f"cer, as {self.output_language} has no spaces between words")

    @property
    def output_language(self) -> str:
        """The language of the output."""
        return self.source_language if self.target == "transcript" else self.target_language

    @property
    def metric_name(self) -> MetricName:
        """The metric that scores it: ``metric``, or the usual one."""
        if self.metric is not None:
            return self.metric
        if self.target == "translation":
            return "bleu"
        return "wer" if has_spaces(self.output_language) else "cer"

    @property
    def tokens(self) -> tuple[str, str]:
        """The task as in Whisper (Radford et al. 2022): output language and operation."""
        verb = "transcribe" if self.target == "transcript" else "translate"
        return f"<|{self.output_language}|>", f"<|{verb}|>"
