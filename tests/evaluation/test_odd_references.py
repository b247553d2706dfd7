"""Evaluation of test sets that hold what corpora hold: nothing of it ends in an error."""

import dataclasses
import json

import jiwer
import numpy as np
import pytest
import sacrebleu
import soundfile
from support.command_line import HEADER, refused, taskaware, tiny

from taskaware.data.tasks import load_tasks
from taskaware.evaluation import outputs, transfer
from taskaware.evaluation.metrics.normalizers import normalize_transcript
from taskaware.files.strict_json import to_json
from taskaware.runs import inference
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run

ODD = [
    ("one two", "eins zwei"),
    ("…", "drei vier"),
    ("three", "Drücke @@ bitte."),
    ("four", "Ich heiße ▁▁▁ hier."),
    ("Thank you.", "Danke."),
    ("Thank you.", "Vielen Dank."),
]
SPLITS = {
    "train": [("one two", "eins zwei"), ("three four", "drei vier"), ("five", "fünf")],
    "test": ODD,
    "silent": [("…", "eins"), ("—", "zwei")],
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A run of two steps, whose test split has an utterance of six times the limit."""
    folder = tmp_path_factory.mktemp("odd")
    rows = [HEADER]
    for split, texts in SPLITS.items():
        for i, pair in enumerate(texts):
            length = 30_000 if (split, i) == ("test", 3) else 3200 + 100 * i
            name = f"{split}{i}"
            samples = np.random.default_rng(i).integers(-3000, 3000, length)
            soundfile.write(folder / f"{name}.wav", samples.astype(np.int16), 16000)
            rows.append([name, f"{name}.wav", "", "", "", *pair, "en", "de", split])
    (folder / "table.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    prepare = ["prepare", "manifest", folder / "table.tsv", "--out", folder / "corpus"]
    prepared = taskaware(*prepare, "--workers", 1)
    assert (prepared.code, prepared.err) == (0, "")
    taskaware(
        "vocab", "--data", folder / "corpus", "--out", folder / "tokenizer.model", "--size", 60
    )
    whole = tiny(folder)
    batching = dataclasses.replace(whole.batching, max_seconds=0.3)
    experiment = dataclasses.replace(whole, batching=batching, steps=2)
    (folder / "e.json").write_text(to_json(experiment))
    trained = taskaware("train", folder / "e.json", "--out", folder / "run")
    assert (trained.code, trained.err) == (0, "")
    return folder


@pytest.fixture(scope="module")
def evaluated(odd):
    return taskaware("evaluate", odd / "run")


@pytest.fixture
def row(odd, evaluated):
    rows = json.loads((odd / "run" / "results.json").read_text())
    return next(row for row in rows if row["split"] == "test")


def left_out(row):
    return {
        task: measured["left_out"]
        for task, by_metric in row["scores"].items()
        for measured in by_metric.values()
    }


def lines(odd, task, kind, split="test"):
    return (odd / "run" / f"{split}.{task}.{kind}.txt").read_text(encoding="utf-8").split("\n")[:-1]


def test_what_cannot_be_scored_is_left_out_of_the_score_and_counted(odd, evaluated, row):
    assert (evaluated.code, evaluated.err) == (0, "")
    assert left_out(row) == {"st": 0, "asr": 1, "mt": 0}
    assert "asr: 1 of 6 references hold nothing to score, left out" in evaluated.out
    hypotheses, references = lines(odd, "asr", "hyp"), lines(odd, "asr", "ref")
    assert references == [english for english, _ in ODD]
    assert len(hypotheses) == 6
    scored = [
        (normalize_transcript(reference), normalize_transcript(hypothesis))
        for hypothesis, reference in zip(hypotheses, references, strict=True)
        if reference != "…"
    ]
    wer = 100 * jiwer.wer(*map(list, zip(*scored, strict=True)))
    assert row["scores"]["asr"]["wer"]["value"] == pytest.approx(wer)


def test_references_that_look_like_subword_pieces_are_scored_as_they_stand(odd, row):
    for task in ("st", "mt"):
        hypotheses, references = lines(odd, task, "hyp"), lines(odd, task, "ref")
        assert references == [german for _, german in ODD]
        bleu = sacrebleu.corpus_bleu(hypotheses, [references]).score
        assert row["scores"][task]["bleu"]["value"] == pytest.approx(bleu)


def test_long_examples_are_told_before_anything_is_decoded(odd, monkeypatch):
    monkeypatch.setattr(outputs, "decode_tasks", lambda *args: 1 / 0)
    outcome = taskaware("evaluate", odd / "run")
    assert outcome.code == 1
    for task in ("st", "asr"):
        assert f"{task}: 1 of 6 are longer than training takes" in outcome.out
    assert "mt: " not in outcome.out


def test_hypotheses_are_written_before_they_are_scored(odd, evaluated, monkeypatch):
    for path in (odd / "run").glob("test.*.txt"):
        path.rename(path.with_suffix(".kept"))
    monkeypatch.setattr(outputs, "evaluated", lambda *args: 1 / 0)
    assert taskaware("evaluate", odd / "run").code == 1
    for path in [*(odd / "run").glob("test.*.kept")]:
        assert path.read_text() == path.with_suffix(".txt").read_text()
        path.unlink()


def test_a_split_without_anything_to_score_has_no_score(odd, evaluated):
    outcome = taskaware("evaluate", odd / "run", "--split", "silent")
    assert (outcome.code, outcome.err) == (0, "")
    rows = json.loads((odd / "run" / "results.json").read_text())
    (row,) = [row for row in rows if row["split"] == "silent"]
    assert row["scores"]["asr"] == {"wer": {"value": None, "signature": None, "left_out": 2}}
    assert left_out(row) == {"st": 0, "asr": 2, "mt": 0}
    assert isinstance(row["scores"]["st"]["bleu"]["value"], float)
    # What is to be said is punctuation: no rival of a translation, which itself has rivals' words.
    assert row["confusion"] == {"st": None, "asr": None, "mt": None}
    assert "–" in outcome.out
    card = taskaware("share", odd / "run", odd / "shared")
    assert (card.code, card.err) == (0, "")
    written = (odd / "shared" / "README.md").read_text()
    assert "| silent | asr | WER | – | – |" in written
    assert "nothing to score left out: 1 of asr (test), 2 of asr (silent). Beam 2" in written


def test_forgetting_is_told_of_the_tasks_that_have_a_score(odd, tmp_path):
    run = Run.open(odd / "run")
    matrix = transfer.forgetting(run, [run], tmp_path, "silent")
    assert matrix["tasks"] == ["st BLEU", "mt BLEU"]
    assert matrix["change"] == [[0, 0], [0, 0]]


def test_the_dry_run_says_so_before(odd, tmp_path):
    outcome = taskaware("train", odd / "e.json", "--out", tmp_path / "run", "--dry-run")
    (line,) = [line for line in outcome.out.splitlines() if "task asr (test): " in line]
    assert line.startswith("found")
    assert line.endswith(
        "hours of speech; 1 longer than training takes; "
        "1 hold nothing to score, left out of the score"
    )
    (line,) = [line for line in outcome.out.splitlines() if "task mt (test): " in line]
    assert line.endswith("test 6 examples")


def test_long_examples_are_decoded_to_the_same_texts_as_in_batches_without_a_bound(odd):
    run = Run.open(odd / "run")
    model, _ = restore(run)
    vectors = vectors_of(run, model)
    unbounded = load_tasks(run.experiment.tasks, "test", run.tokenizer)
    assert not unbounded[0].relative_length.any()
    bounded = run.examples("test")
    assert bounded[0].relative_length.max() > 6
    settings = (run.tokenizer, vectors, run.experiment.decoding)
    found, expected = (
        inference.decode_tasks(model, dict(enumerate(tasks)), *settings)
        for tasks in (bounded, unbounded)
    )
    assert found == expected


def test_an_experiment_that_counts_words_of_chinese_is_refused_before_training(odd, tmp_path):
    text = (odd / "e.json").read_text()
    chinese = text.replace('"source_language": "en"', '"source_language": "zh-CN"')
    (tmp_path / "e.json").write_text(chinese)
    message = refused(taskaware("train", tmp_path / "e.json", "--out", tmp_path / "run"))
    assert "tasks[1]: Task.metric: expected cer, as zh-CN has no spaces" in message
