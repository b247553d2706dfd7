"""Pseudo-labels: speech translation data from ASR data, translated by trained models.

The paper translates TED-LIUM's transcripts by two models and keeps the two best of each (§6.1.1),
which is sequence-level knowledge distillation (Kim & Rush 2016).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from taskaware.data.corpora.base import PreparedCorpus
from taskaware.data.corpora.labelled import Labelled
from taskaware.data.corpora.write import OnShard, claim, prepare_corpus
from taskaware.data.tasks import Recordings, TaskExamples, serves
from taskaware.errors import UsageError
from taskaware.runs.checkpoints import restore, vectors_of
from taskaware.runs.console import say
from taskaware.runs.folder import Run
from taskaware.runs.inference import n_best, tell_long


def pseudo_label(
    data: Path,
    teachers: Sequence[tuple[Run, str]],
    out: Path,
    *,
    top: int = 2,
    split: str = "train",
    workers: int = 1,
    on_shard: OnShard | None = None,
) -> PreparedCorpus:
    """Translate the transcripts of a prepared corpus, and write it with the translations.

    Args:
        data: folder of ``taskaware prepare``, with speech and its transcripts.
        teachers: trained runs, each with the name of its task from text to a translation.
        out: the new folder; it has each example once per translation.
        top: how many of the beam's best each teacher gives; equal texts are kept once.
        split: the one that is translated.
        workers: processes that write.
        on_shard: called with the progress of writing.

    Raises:
        UsageError: a task is not text to translation, the teachers' target languages differ, the
            corpus is in another language, or the beam is narrower than ``top``.
    """
    language = _target_language(teachers, top)
    corpus = PreparedCorpus(data)
    with claim(Path(out).absolute()):
        pass  # fail now where it is not free, not after hours of translating
    rows = corpus.rows(split)
    texts: list[dict[str, None]] = [{} for _ in rows]  # a dict keeps their order, each once
    for run, name in teachers:
        for i, translations in zip(*_translate(run, name, corpus, split, top), strict=True):
            texts[i].update(dict.fromkeys(text for text in translations if text))
    labelled = Labelled(data, split, [tuple(translations) for translations in texts], language)
    return prepare_corpus(labelled, out, workers=workers, on_shard=on_shard)


def _target_language(teachers: Sequence[tuple[Run, str]], top: int) -> str:
    if not teachers:
        raise UsageError("expected one or more models to translate, found none")
    languages = set()
    for run, name in teachers:
        task, beam = run.experiment.task(name), run.experiment.decoding.beam_size
        if (task.source, task.target) != ("text", "translation"):
            raise UsageError(
                f"{run.folder}: expected a task from text to translation, found {name!r}, from"
                f" {task.source} to {task.target}"
            )
        if not 1 <= top <= beam:
            raise UsageError(
                f"{run.folder}: expected the best 1 to {beam}, as wide as its beam, found {top}"
            )
        languages.add(task.target_language)
    if len(languages) > 1:
        raise UsageError(f"expected one target language, found {', '.join(sorted(languages))}")
    return languages.pop()


def _translate(
    run: Run, name: str, corpus: PreparedCorpus, split: str, top: int
) -> tuple[list[int], list[list[str]]]:
    """Return which rows a task can translate, and their translations."""
    index = run.experiment.tasks.index(run.experiment.task(name))
    # A task that repeats its source needs no reference.
    unlabelled = dataclasses.replace(
        run.experiment.tasks[index],
        target="transcript",
        metric=None,
        data=(str(corpus.directory),),
    )
    recordings, limits = [Recordings(corpus, split)], run.experiment.batching
    examples = TaskExamples(unlabelled, recordings, split, run.tokenizer, limits, keep_long=True)
    tell_long([examples], say)
    model, _ = restore(run)
    vectors = vectors_of(run, model)
    decoding = run.experiment.decoding
    translations = n_best(model, {index: examples}, run.tokenizer, vectors, decoding, top)[index]
    return [i for i, row in enumerate(corpus.rows(split)) if serves(row, unlabelled)], translations
