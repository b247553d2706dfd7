"""Pseudo-labelled speech: a prepared corpus with machine translations."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskaware.data.corpora.base import (
    UTTERANCES_PER_SHARD,
    Example,
    LeftOut,
    PreparedCorpus,
    Splits,
    open_cached,
)


@dataclass(frozen=True)
class Labelled:
    """One split of a prepared corpus, each example once per new translation.

    An example ID becomes ID~1, ID~2 and so on; one without a translation is left out.
    """

    folder: Path
    split: str
    texts: Sequence[Sequence[str]]
    """The translations per row."""
    target_language: str

    name = "labelled"

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that combine the corpus with its translations."""
        count = len(PreparedCorpus(self.folder).rows(self.split))
        if count != len(self.texts):
            raise ValueError(f"expected translations of {count} rows, found {len(self.texts)}")
        about = (self.folder, self.split, self.target_language)
        return {
            self.split: [
                functools.partial(_examples, *about, i, self.texts[i : i + UTTERANCES_PER_SHARD])
                for i in range(0, count, UTTERANCES_PER_SHARD)
            ]
        }


def _examples(
    folder: Path, split: str, language: str, first: int, texts: Sequence[Sequence[str]]
) -> Iterator[Example | LeftOut]:
    corpus = open_cached(folder)
    for i, translations in enumerate(texts, start=first):
        row = corpus.rows(split)[i]
        if not translations:
            yield LeftOut("no translation", f"{folder}: {row.id}")
            continue
        audio = corpus.audio(split, i)
        for number, text in enumerate(translations, start=1):
            yield Example(
                id=f"{row.id}~{number}",
                audio=audio,
                speaker=row.speaker,
                source_text=row.source_text,
                target_text=text,
                source_language=row.source_language,
                target_language=language,
                corpus=row.corpus,
                labels=row.labels,
            )
