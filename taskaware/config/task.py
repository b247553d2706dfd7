"""A task: source, target, head, languages, metrics and data."""

import re
from dataclasses import dataclass
from typing import Literal

from taskaware.config.checks import _require, _require_not_negative, _require_positive_if_given

# fmt: off
MetricName = Literal[
    "bleu", "wer", "cer", "per", "accuracy", "macro_f1", "uar", "span_f1", "slot_f1", "slot_cer",
    "frame_f1", "der", "mae", "ccc",
]
TargetName = Literal[
    "transcript", "translation", "text", "label", "tags", "symbols", "frames", "number"
]
# fmt: on
_METRICS: dict[str, tuple[MetricName, ...]] = {
    "transcript": ("wer", "cer", "bleu"),
    "translation": ("bleu", "wer", "cer"),
    "text": ("wer", "cer", "bleu", "slot_f1", "slot_cer"),
    "label": ("accuracy", "macro_f1", "uar"),
    "tags": ("span_f1",),
    "symbols": ("per",),
    "frames": ("frame_f1", "der"),
    "number": ("mae", "ccc"),
}
"""The metrics that fit each target, the usual one first."""
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
    target: TargetName
    """Texts, tokens of one vocabulary: the transcript, the translation, or ``text`` of a column. Of
    a column too: one ``label`` per row, one of the ``tags`` per word of a text source, ``symbols``
    such as phones, labelled ``frames`` of speech, or a ``number``."""
    column: str = ""
    """Of the data's labels: what the target is; empty for transcripts and translations."""
    head: str | None = None
    """The name of its head in the model. None for the usual one: ``decoder`` of texts, which also
    writes labels and tags if it is named; ``ctc`` is another for texts; for all else a head named
    as the column, which tasks of the same column share."""
    ctc_weight: float = 0.0
    """Of texts from a decoder: the share of the loss, and of the scores in search, that a CTC head
    named ``ctc`` has (joint CTC/attention: Watanabe et al. 2017)."""
    metric: MetricName | None = None
    """Selects and ranks. None for the usual one: BLEU of translations, WER of transcripts (paper
    §3.2), CER where the language has no spaces between words."""
    more_metrics: tuple[MetricName, ...] = ()
    """Scored besides."""
    weight: float = 1.0
    """Of its loss, beside those of other tasks."""
    role: Literal["main", "auxiliary", "adversarial"] = "main"
    """Auxiliary tasks are trained and scored, and left out of what is shared; of adversarial ones
    the encoder also gets the gradient reversed, to forget what they ask for (Ganin et al. 2016)."""
    reversal: float = 1.0
    """Of an adversarial task: the factor that its reversed gradient grows to."""
    source_language: str = "en"
    """Of the source and of a transcript. Empty for any, where the output is not text."""
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
        """Raise UsageError on a bad file name, or on fields that do not fit the target."""
        _require_positive_if_given(self, "max_examples", "vector_examples")
        _require_not_negative(self, "weight", "reversal")
        _require(re.fullmatch(r"\w[\w.-]*", self.name) is not None, self, "name", "a word")
        text = self.source == "text" or not self.prefix
        _require(text, self, "prefix", "none before speech, which has no text to put it before")
        labelled = self.target not in ("transcript", "translation")
        expected = f"a column of labels for target {self.target!r}" if labelled else "none"
        _require(bool(self.column) == labelled, self, "column", expected)
        sources = {"tags": "text", "frames": "speech"}
        source = sources.get(self.target, self.source)
        _require(self.source == source, self, "source", f"{source} for target {self.target!r}")
        fit = _METRICS[self.target]
        expected = f"of {', '.join(fit)} for target {self.target!r}"
        _require(self.metric_name in fit, self, "metric", f"one {expected}")
        ok = all(name in fit for name in self.more_metrics)
        _require(ok, self, "more_metrics", f"some {expected}")
        ok = self.metric != "wer" or has_spaces(self.output_language)
        _require(ok, self, "metric", f"cer, as {self.output_language} has no spaces between words")
        ok = bool(self.source_language) or not self.is_text
        _require(ok, self, "source_language", "a language where the output is text")
        _require(0 <= self.ctc_weight <= 1, self, "ctc_weight", "from 0 to 1")
        ok = not self.ctc_weight or (self.is_text and self.head != "ctc")
        _require(ok, self, "ctc_weight", "0 unless a decoder writes a text")

    @property
    def output_language(self) -> str:
        """The language of the output."""
        return self.target_language if self.target == "translation" else self.source_language

    @property
    def is_text(self) -> bool:
        """Whether its target is text, tokens of the vocabulary that all tasks share."""
        return self.target in ("transcript", "translation", "text")

    @property
    def metric_name(self) -> MetricName:
        """The metric that selects and ranks: ``metric``, or the usual one."""
        if self.metric is not None:
            return self.metric
        usual = _METRICS[self.target][0]
        return "cer" if usual == "wer" and not has_spaces(self.output_language) else usual

    @property
    def metric_names(self) -> tuple[MetricName, ...]:
        """Every metric that scores it, the selecting one first."""
        return tuple(dict.fromkeys((self.metric_name, *self.more_metrics)))

    @property
    def tokens(self) -> tuple[str, str]:
        """The task as in Whisper (Radford et al. 2022): output language and operation."""
        verbs = {"transcript": "transcribe", "translation": "translate"}
        verb = verbs.get(self.target, self.column)
        return f"<|{self.output_language}|>", f"<|{verb}|>"
