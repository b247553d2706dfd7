"""The closed set of metrics: every one is reached by its name and knows which way is better."""

from pathlib import Path
from typing import get_args

import pytest

from taskaware.config import MetricName
from taskaware.evaluation.metrics.by_name import evaluated, metric

OUTPUTS = {  # worse, better; the better is the reference
    "bleu": ("the dog sat on a mat", "the cat sat on the mat"),
    "wer": ("the dog sat", "the cat sat"),
    "cer": ("the cut", "the cat"),
    "per": ("K AH0 T S", "K AE1 T"),
    "accuracy": ("off", "on"),
    "macro_f1": ("off", "on"),
    "uar": ("off", "on"),
    "span_f1": ("B-who O", "B-who I-who"),
    "slot_f1": ("B-what anna E-what", "B-who anna E-who"),
    "slot_cer": ("B-who hanna E-who", "B-who anna E-who"),
    "frame_f1": ("speech 0 2", "speech 0 1"),
    "der": ("speech 0 2", "speech 0 1"),
    "mae": ("2", "1.5"),
    "ccc": ("2", "1.5"),
}


@pytest.mark.parametrize("name", get_args(MetricName))
def test_every_metric_is_reached_by_its_name_and_knows_which_way_is_better(name):
    """A new metric: a literal, an object, an arm of the match; and it is tested here."""
    worse, better = OUTPUTS[name]
    bad, good = (evaluated(name, [text], [better], "en") for text in (worse, better))
    assert bad.value is not None and good.value is not None
    assert (good.value > bad.value) == metric(name).higher_is_better and good.value != bad.value
    assert metric(name).gain * bad.value < metric(name).gain * good.value
    assert metric(name).name == name
    assert good.signature and good.signature == bad.signature
    titles = [metric(other).title for other in get_args(MetricName)]
    assert titles.count(metric(name).title) == 1


def test_every_metric_has_its_row_in_the_documentation():
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == [*get_args(MetricName)]
    for name in rows:
        best = next(line for line in page.splitlines() if f"| `{name}` |" in line).split("|")[3]
        assert metric(name).higher_is_better == (float(best) > 0)


@pytest.mark.parametrize("name", get_args(MetricName))
def test_an_empty_reference_is_left_out_on_both_sides_and_counted(name):
    worse, better = OUTPUTS[name]
    with_gap = evaluated(name, [worse, worse, better], [better, " ", better], "en")
    without = evaluated(name, [worse, better], [better, better], "en")
    assert (with_gap.value, with_gap.signature) == (without.value, without.signature)
    assert (with_gap.left_out, without.left_out) == (1, 0)
    assert evaluated(name, [better], [""], "en").value is None


@pytest.mark.parametrize(
    "name", sorted({*get_args(MetricName)} - {"frame_f1", "der", "mae", "ccc"})
)
@pytest.mark.parametrize("output", ["", "B-who", "E-who B-who", "▁the @@", "B- I- - O;:", "\u200b"])
def test_no_output_of_a_run_costs_the_others_their_score(name, output):
    _, better = OUTPUTS[name]
    measured = evaluated(name, [output, better], [better, better], "en")
    perfect = evaluated(name, [better, better], [better, better], "en")
    assert measured.value is not None and perfect.value is not None
    assert metric(name).gain * measured.value < metric(name).gain * perfect.value
