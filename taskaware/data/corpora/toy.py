"""The embedded corpus: sentences of a grammar, spoken by a synthesizer.

English speech and text with translations: enough to see a model tell tasks apart, without a
download. Sentences are distinct, so none of validation or test occurs in train. Train is spoken by
one set of voices, test by another, validation by both in turn.
"""

import functools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from taskaware.data.corpora.base import NO_AUDIO, UTTERANCES_PER_SHARD, Example, Splits
from taskaware.data.toy import speech
from taskaware.data.toy.clauses import Sentence
from taskaware.data.toy.grammar import sentences
from taskaware.errors import UsageError

_LANGUAGES = {"de": "german", "ro": "romanian", "tr": "turkish"}


@dataclass(frozen=True)
class Toy:
    """A grammar's sentences, spoken by a synthesizer; equal options make equal corpora."""

    train: int = 4000
    """Sentences to train on."""
    validation: int = 200
    """Sentences to validate on, by the voices of training and by others."""
    test: int = 400
    """Sentences to test on, by the other voices."""
    target_language: Literal["de", "ro", "tr"] = "de"
    """Language of the translations: German, Romanian or Turkish."""
    sound: Literal["microphone", "telephone", "none"] = "microphone"
    """The channel of the speech; none writes only text, which is fast."""
    seed: int = 0
    """Selects the sentences and their speakers."""

    name = "toy"

    def __post_init__(self):
        """Raise UsageError on a split without sentences, or a language that is not written."""
        if self.target_language not in _LANGUAGES:
            raise UsageError(
                f"expected target language {', '.join(_LANGUAGES)}, found {self.target_language!r}"
            )
        for split, size in self._sizes().items():
            if size < 1:
                raise UsageError(f"expected 1 or more sentences in split {split!r}, found {size}")

    def splits(self, *, strict: bool) -> Splits:
        """Return shards that make the corpus; too many sentences are a UsageError."""
        sizes = self._sizes()
        drawn = iter(sentences(sum(sizes.values()), self.seed))
        rng = random.Random(self.seed)
        training, held_out = speech.training_voices(), speech.held_out_voices()
        turns = {"train": [training], "validation": [training, held_out], "test": [held_out]}
        splits = {}
        for split, size in sizes.items():
            spoken = [
                (f"{split}-{i:05}", next(drawn), rng.choice(turns[split][i % len(turns[split])]))
                for i in range(size)
            ]
            parts = (
                spoken[i : i + UTTERANCES_PER_SHARD] for i in range(0, size, UTTERANCES_PER_SHARD)
            )
            splits[split] = [functools.partial(_examples, part, self) for part in parts]
        return splits

    def _sizes(self) -> dict[str, int]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def _examples(
    spoken: Sequence[tuple[str, Sentence, speech.Voice]], corpus: Toy
) -> Iterator[Example]:
    for id, sentence, voice in spoken:
        samples = NO_AUDIO
        if corpus.sound != "none":
            samples = speech.synthesize(sentence.english, voice)
        yield Example(
            id=id,
            audio=speech.over_telephone(samples) if corpus.sound == "telephone" else samples,
            speaker="" if corpus.sound == "none" else voice.name,
            source_text=sentence.english,
            target_text=getattr(sentence, _LANGUAGES[corpus.target_language]),
            source_language="en",
            target_language=corpus.target_language,
            corpus="toy" if corpus.sound == "microphone" else f"toy_{corpus.sound}",
        )
