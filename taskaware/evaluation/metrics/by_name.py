"""The closed set of metrics, by name.

A new one takes a literal in ``config.MetricName``, an object beside its function, as in ``texts``,
and an arm here.
"""

from collections.abc import Sequence
from typing import assert_never

from taskaware.config import MetricName
from taskaware.evaluation.metrics.base import Measured, Metric
from taskaware.evaluation.metrics.labels import ACCURACY, MACRO_F1, UAR
from taskaware.evaluation.metrics.numbers import CCC, MAE
from taskaware.evaluation.metrics.spans import SLOT_CER, SLOT_F1, SPAN_F1
from taskaware.evaluation.metrics.texts import BLEU, CER, PER, WER
from taskaware.evaluation.metrics.timelines import DER, FRAME_F1


def metric(name: MetricName) -> Metric:
    """Return the metric of a name."""
    match name:
        case "bleu":
            return BLEU
        case "wer":
            return WER
        case "cer":
            return CER
        case "per":
            return PER
        case "accuracy":
            return ACCURACY
        case "macro_f1":
            return MACRO_F1
        case "uar":
            return UAR
        case "span_f1":
            return SPAN_F1
        case "slot_f1":
            return SLOT_F1
        case "slot_cer":
            return SLOT_CER
        case "frame_f1":
            return FRAME_F1
        case "der":
            return DER
        case "mae":
            return MAE
        case "ccc":
            return CCC
        case _:
            assert_never(name)


def evaluated(
    name: MetricName, hypotheses: Sequence[str], references: Sequence[str], language: str
) -> Measured:
    """Score a run's outputs, whatever they contain: ▁ and @@ count as text there.

    References that hold nothing to score are left out, on both sides, and counted. Outputs that
    only a head of their kind writes, segments and numbers, must be such.

    Raises:
        UsageError: segments or numbers that are none, or tags or slots of references that are none.
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
