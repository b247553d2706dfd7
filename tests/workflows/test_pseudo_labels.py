"""Speech translation data made from transcripts by trained models."""

import dataclasses

import numpy as np
import pytest
from support.command_line import ENGLISH, get_ready, refused, taskaware, tiny

from taskaware.config import Decoding
from taskaware.data.corpora.base import Example, PreparedCorpus
from taskaware.data.corpora.write import prepare
from taskaware.errors import UsageError
from taskaware.runs import inference
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.folder import Run
from taskaware.runs.trainer import train
from taskaware.workflows.pseudo_labels import pseudo_label


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A prepared corpus and two short runs, with beams of three, whose texts are gibberish."""
    folder = tmp_path_factory.mktemp("pseudo")
    get_ready(folder)
    for seed in (0, 1):
        decoding = Decoding(beam_size=3, extra_length=2, examples=2)
        experiment = dataclasses.replace(tiny(folder), seed=seed, decoding=decoding)
        train(Run.start(experiment, folder / f"run{seed}"))
    return folder


def best(folder, seed, count):
    """What a run makes of the training split's English texts, one at a time."""
    run = Run.open(folder / f"run{seed}")
    model, _ = restore(run)
    examples = run.examples("train")[2]
    found = inference.n_best(
        model,
        {2: examples},
        run.tokenizer,
        vectors_of(run, model),
        run.experiment.decoding,
        count,
    )
    return {row.id: texts for row, texts in zip(examples.rows, found[2], strict=True)}


def test_the_best_of_several_is_what_decoding_gives(folder):
    run = Run.open(folder / "run0")
    model, _ = restore(run)
    tasks = dict(enumerate(run.examples("train")))
    settings = (run.tokenizer, vectors_of(run, model), run.experiment.decoding)
    one = inference.decode_tasks(model, tasks, *settings)
    three = inference.n_best(model, tasks, *settings, 3)
    for task, texts in three.items():
        assert [first for first, _, _ in texts] == one[task]
        assert any(len(set(found)) > 1 for found in texts)


def test_every_utterance_stands_once_for_each_translation(folder, tmp_path):
    teachers = [(Run.open(folder / f"run{seed}"), "mt") for seed in (0, 1)]
    corpus = pseudo_label(folder / "corpus", teachers, tmp_path / "out", top=2)
    original = PreparedCorpus(folder / "corpus")
    given = [best(folder, seed, 2) for seed in (0, 1)]
    expected, audio = [], []
    for i, row in enumerate(original.rows("train")):
        texts = [text for run in given for text in run[row.id] if text]
        for number, text in enumerate(dict.fromkeys(texts), start=1):
            changed = row._replace(id=f"{row.id}~{number}", target_text=text, target_language="de")
            expected.append(changed)
            audio.append(original.audio("train", i))
    assert len(expected) > len(original.rows("train"))
    assert corpus.rows("train") == expected
    for i, samples in enumerate(audio):
        np.testing.assert_array_equal(corpus.audio("train", i), samples)
    assert corpus.splits == ("train",)


def test_the_command_writes_the_same(folder, tmp_path):
    argv = ["pseudo-label", folder / "corpus", "--out", tmp_path / "out", "--top", "3"]
    outcome = taskaware(*argv, "--teachers", f"{folder}/run0:mt", f"{folder}/run1:mt")
    assert (outcome.code, outcome.err) == (0, "")
    teachers = [(Run.open(folder / f"run{seed}"), "mt") for seed in (0, 1)]
    expected = pseudo_label(folder / "corpus", teachers, tmp_path / "same", top=3)
    assert PreparedCorpus(tmp_path / "out").rows("train") == expected.rows("train")


def test_a_teacher_s_metric_may_be_one_that_its_source_language_does_not_have(folder, tmp_path):
    texts = [f"zero {word}" for word in ENGLISH]
    rows = [Example(text, np.ones(800, np.int16), "", text, "", "zh", "", "c") for text in texts]
    prepare("c", lambda: {"train": [lambda: rows]}, tmp_path / "chinese")
    run = Run.open(folder / "run0")
    mt = dataclasses.replace(run.experiment.tasks[2], metric="wer", source_language="zh")
    tasks = (*run.experiment.tasks[:2], mt)
    run = run._replace(experiment=dataclasses.replace(run.experiment, tasks=tasks))
    corpus = pseudo_label(tmp_path / "chinese", [(run, "mt")], tmp_path / "out", top=3)
    assert {row.target_language for row in corpus.rows("train")} == {"de"}


def test_a_folder_that_is_taken_is_refused_before_anything_is_translated(folder, monkeypatch):
    from taskaware.workflows import pseudo_labels as module

    monkeypatch.setattr(module, "n_best", lambda *args: 1 / 0)
    with pytest.raises(UsageError, match="found something there already"):
        pseudo_label(folder / "corpus", [(Run.open(folder / "run0"), "mt")], folder / "corpus")


def test_speech_in_another_language_than_the_teacher_s_is_refused(folder, tmp_path):
    audio = np.ones(800, np.int16)
    rows = [Example("1", audio, "", "bonjour", "", "fr", "", "c")]
    prepare("c", lambda: {"train": [lambda: rows]}, tmp_path / "french")
    teachers = [(Run.open(folder / "run0"), "mt")]
    with pytest.raises(UsageError, match=r"en to en\) in split 'train' of .*french"):
        pseudo_label(tmp_path / "french", teachers, tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--teachers", "{run}:st"], "expected a task from text to translation, found 'st'"),
        (["--teachers", "{run}:mtt"], "did you mean 'mt'?"),
        (["--teachers", "{run}"], "teachers: expected RUN:TASK"),
        (["--teachers", "{run}:mt", "--top", "4"], "expected the best 1 to 3"),
        (["--teachers", "{run}:mt", "--split", "trian"], "did you mean 'train'?"),
        (["--teachers", "{run}:mt", "--top", "0"], "expected the best 1 to 3"),
    ],
)
def test_what_cannot_translate_is_refused(folder, tmp_path, words, expected):
    words = [word.format(run=folder / "run0") for word in words]
    outcome = taskaware("pseudo-label", folder / "corpus", "--out", tmp_path / "out", *words)
    assert expected in refused(outcome)
    assert not (tmp_path / "out").exists()
