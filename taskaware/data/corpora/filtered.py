"""Filters that leave likely mistakes out of a prepared corpus.

Data that nobody has checked by hand, such as data from the web, is filtered by rules that look at
one example at a time (Radford et al. 2022, §2.1): text that is not in its declared language,
transcripts that a machine made, and recordings of silence.
"""

import functools
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from taskaware.data.audio.features import SAMPLE_RATE
from taskaware.data.corpora.base import (
    TEXTS_PER_SHARD,
    UTTERANCES_PER_SHARD,
    Example,
    LeftOut,
    PreparedCorpus,
    Row,
    Splits,
    open_cached,
)
from taskaware.errors import UsageError

_LONG_ENOUGH = 20
"""Characters below which neither a text's length nor an identified language is reliable."""
_SURE = 0.9
"""Probability from which an identified language is trusted."""
_REPEATS = 4
"""Repetitions of the same words in a row that reveal a loop of a machine's decoder."""
_FRAME = SAMPLE_RATE // 40
_SPEECH_DBFS = -50.0
"""Level above which a 25 ms frame may be speech; rooms are quieter, whispers louder."""
_SPEECH_SECONDS = 0.1


@dataclass(frozen=True)
class Filtered:
    """A prepared corpus without likely mistakes; each rule is requested by name.

    Only the splits to train on are filtered: a test set does not change.
    """

    folder: Path
    """A folder of taskaware prepare; it is only read."""
    language: bool = False
    """Leave out texts that are not in their declared language."""
    machine: bool = False
    """Leave out transcripts that look like a recognizer's: words in a loop; and all capitals, or
    neither capitals nor punctuation, where most of the corpus has both."""
    silence: bool = False
    """Leave out recordings with less than a tenth of a second of possible speech."""
    max_ratio: float = math.inf
    """Leave out pairs in which one text has more than this many times the other's characters."""
    from_splits: tuple[str, ...] = ("train",)
    """Splits to filter; the others are copied."""

    name = "filtered"

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that filter the corpus; no rule, or a useless one, is a UsageError."""
        if not (self.language or self.machine or self.silence or self.max_ratio < math.inf):
            raise UsageError("filtered: expected a rule, as --silence or --max-ratio 3, found none")
        if not self.max_ratio > 1:
            raise UsageError(f"max_ratio: expected more than 1, found {self.max_ratio}")
        corpus = PreparedCorpus(self.folder)
        for split in self.from_splits:
            corpus.rows(split)  # raises where there is none
        shards = {}
        for split in corpus.splits:
            rows = corpus.rows(split)
            rules = self if split in self.from_splits else None
            written = self.machine and mostly_written([row.source_text for row in rows])
            size = UTTERANCES_PER_SHARD if any(row.num_samples for row in rows) else TEXTS_PER_SHARD
            shards[split] = [
                functools.partial(_read, self.folder, split, rules, written, first, first + size)
                for first in range(0, len(rows), size)
            ]
        return shards


def _read(
    folder: Path, split: str, rules: Filtered | None, written: bool, first: int, end: int
) -> Iterator[Example | LeftOut]:
    corpus = open_cached(folder)
    for i, row in enumerate(corpus.rows(split)[first:end], start=first):
        reason = None if rules is None else text_reason(row, rules, written)
        if reason is None:
            audio = corpus.audio(split, i)
            if rules is None or not rules.silence or not len(audio) or speaks(audio):
                yield Example(row.id, audio, *row[2:])
                continue
            reason = "silence"
        yield LeftOut(reason, f"{folder}: {row.id}")


def text_reason(row: Row, rules: Filtered, written: bool) -> str | None:
    """Return the reason why a row's texts are left out, or None.

    Args:
        row: the row to judge.
        rules: the requested rules.
        written: whether most of the corpus has capitals, small letters and punctuation.
    """
    texts = [row.source_text]
    if row.target_text:
        texts.append(row.target_text)
        short, long = sorted(map(len, texts))
        if long >= _LONG_ENOUGH and long > rules.max_ratio * short:
            return "one text much longer than the other"
    if rules.machine:
        if any(map(loops, texts)):
            return "words that go round and round"
        if written and not looks_written(row.source_text):
            return "looks like a recognizer's transcript"
    if rules.language:
        for text, language in zip(texts, (row.source_language, row.target_language), strict=False):
            if len(text) >= _LONG_ENOUGH and in_another_language(text, language):
                return "text in another language"
    return None


def looks_written(text: str) -> bool:
    """Return whether a text has small letters, and also capitals or punctuation.

    Example:
        >>> looks_written("Yes, I am."), looks_written("YES I AM"), looks_written("yes i am")
        (True, False, False)
    """
    if text.isupper():
        return False
    return not text.islower() or re.search(r"[.,;:!?]", text) is not None


def mostly_written(texts: Sequence[str]) -> bool:
    """Return whether more than half of a corpus' texts look written."""
    return 2 * sum(map(looks_written, texts)) > len(texts)


def loops(text: str) -> bool:
    """Return whether a sequence of one to four words occurs four times in a row.

    Example:
        >>> loops("no no no"), loops("thank you thank you thank you thank you")
        (False, True)
    """
    words = text.split()
    if len(set(words)) > len(words) - (_REPEATS - 1):
        return False  # too many different words: most short texts end here
    for width in range(1, 5):
        same = 0
        for a, b in zip(words, words[width:], strict=False):
            same = same + 1 if a == b else 0
            if same == (_REPEATS - 1) * width:
                return True
    return False


def in_another_language(text: str, language: str) -> bool:
    """Return whether a text is very likely not in its declared language.

    Raises:
        UsageError: the identifier does not know the language.
    """
    identifier = _identifier()
    if language not in identifier.labels:
        raise UsageError(
            f"language {language!r}: expected one that py3langid knows, such as en; leave out"
            " --language"
        )
    guess, probability = identifier.classify(text)
    return guess != language and probability >= _SURE


@functools.cache
def _identifier():
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ModuleNotFoundError:
        raise UsageError('--language needs py3langid; pip install "taskaware[filter]"') from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def speaks(samples_A: Int16[np.ndarray, " A"]) -> bool:
    """Return whether a tenth of a second or more of a recording is louder than -50 dBFS.

    Args:
        samples_A: 16 kHz, mono.
    """
    whole = samples_A[: len(samples_A) // _FRAME * _FRAME].reshape(-1, _FRAME)
    signal = whole - whole.mean(axis=1, keepdims=True)  # a constant offset is no sound
    power = np.square(signal / 32768.0).mean(axis=1)
    loud = power > 10 ** (_SPEECH_DBFS / 10)
    return bool(loud.sum() * _FRAME >= _SPEECH_SECONDS * SAMPLE_RATE)
