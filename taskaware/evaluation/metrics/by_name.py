"""The closed set of metrics, by name.

A new one takes a literal in ``config.MetricName``, an object beside its function, as in ``texts``,
and an arm here. What it compares need not be texts.
"""

from collections.abc import Sequence
from typing import Any, assert_never

from taskaware.config import MetricName
from taskaware.evaluation.metrics.base import Measured, Metric
from taskaware.evaluation.metrics.texts import BLEU, CER, WER


def metric(name: MetricName) -> Metric[Any]:
    """Return the metric of a name."""
    match name:
        case "bleu":
            return BLEU
        case "wer":
            return WER
        case "cer":
            return CER
        case _:
            assert_never(name)


def evaluated(
    name: MetricName, hypotheses: Sequence[Any], references: Sequence[Any], language: str
) -> Measured:
    """Score a run's outputs, whatever they contain: ▁ and @@ count as text there.

    References that hold nothing to score are left out, on both sides, and counted.
    """
    chosen = metric(name)
    outputs = zip(hypotheses, map(chosen.normalize, references), strict=True)
    pairs = [
        (chosen.normalize(hypothesis), output) for hypothesis, output in outputs if output != ""
    ]
    left_out = len(hypotheses) - len(pairs)
    if not pairs:
        return Measured(value=None, signature=None, left_out=left_out)
    decoded, references = map(list, zip(*pairs, strict=True))
    score = chosen.score(decoded, references, language)
    return Measured(value=score.value, signature=score.signature, left_out=left_out)
