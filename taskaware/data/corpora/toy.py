"""The embedded corpus: sentences of a grammar, spoken by a synthesizer.

English speech and text with translations: enough to see a model tell tasks apart, without a
download. Sentences are distinct, so none of validation or test occurs in train. Train is spoken by
one set of voices, test by another, validation by both in turn. Examples have labels:

========  ==========================================================================================
language  en, de, ro or tr
intent    the kind of sentence, such as question, negation or how_many
slots     a BIO tag for each English word: who, what, where, when, how_many, with_whom
marked    the English words with their slots, as in "B-who the child E-who is sleeping"
speaker   who speaks, in any language, if it is one of the voices of training
speech    segments without a pause, measured before any channel, as in "speech 0.05 1.93"
========  ==========================================================================================
"""

import functools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from taskaware.data.corpora.base import NO_AUDIO, UTTERANCES_PER_SHARD, Example, Splits
from taskaware.data.toy import speech
from taskaware.data.toy.clauses import Sentence
from taskaware.data.toy.grammar import sentences
from taskaware.data.toy.marks import tags
from taskaware.errors import UsageError

_Language = Literal["de", "ro", "tr"]
_LANGUAGES = {"de": "german", "ro": "romanian", "tr": "turkish"}


class _Spoken(NamedTuple):
    """A sentence, in which language it is said, and by whom."""

    id: str
    sentence: Sentence
    language: str
    voice: speech.Voice


def _text(sentence: Sentence, language: str) -> str:
    return sentence.english if language == "en" else getattr(sentence, _LANGUAGES[language])


def _trains(voice: speech.Voice) -> bool:
    return any(voice.variant == other.variant for other in speech.training_voices())


@dataclass(frozen=True)
class Toy:
    """A grammar's sentences, spoken by a synthesizer; equal options make equal corpora."""

    train: int = 4000
    """Sentences to train on."""
    validation: int = 200
    """Sentences to validate on, by the voices of training and by others."""
    test: int = 400
    """Sentences to test on, by the other voices."""
    target_language: _Language = "de"
    """Language of the translations: German, Romanian or Turkish."""
    sound: Literal["microphone", "telephone", "none"] = "microphone"
    """The channel of the speech; none writes only text, which is fast."""
    seed: int = 0
    """Selects the sentences and their speakers."""
    languages: tuple[_Language, ...] = ()
    """Languages that are spoken as well: each sentence in one of them in turn, beside English."""
    pauses: bool = False
    """Whether speakers pause before, after and within each sentence."""
    test_seen: bool = False
    """Whether there is a split test_seen: the sentences of test by the voices of training."""

    name = "toy"

    def __post_init__(self):
        """Raise UsageError on a split without sentences, or a language that is not written."""
        if self.target_language not in _LANGUAGES:
            raise UsageError(
                f"expected target language {', '.join(_LANGUAGES)}, found {self.target_language!r}"
            )
        if len({*self.languages} & {*_LANGUAGES}) < len(self.languages):
            raise UsageError(
                f"languages: expected each of {', '.join(_LANGUAGES)} once at most, beside English,"
                f" found {' '.join(self.languages)}"
            )
        if self.sound == "none" and (self.pauses or self.test_seen):
            raise UsageError("expected pauses and test_seen only with sound, found sound none")
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
        spoken: dict[str, list[_Spoken]] = {}
        for split, size in sizes.items():
            voices = turns[split]
            spoken[split] = [
                _Spoken(f"{split}-{i:05}", next(drawn), "en", rng.choice(voices[i % len(voices)]))
                for i in range(size)
            ]
        if self.test_seen:
            spoken["test_seen"] = [
                _Spoken(id.replace("test", "test_seen"), sentence, "en", rng.choice(training))
                for id, sentence, *_ in spoken["test"]
            ]
        if self.languages:
            spoken = self._translated(spoken, rng)
        return {
            split: [
                functools.partial(_examples, some[i : i + UTTERANCES_PER_SHARD], self)
                for i in range(0, len(some), UTTERANCES_PER_SHARD)
            ]
            for split, some in spoken.items()
        }

    def _translated(
        self, spoken: Mapping[str, list[_Spoken]], rng: random.Random
    ) -> dict[str, list[_Spoken]]:
        """Return all sentences, and after those of a split each in one other language.

        "He" and "she" are the same in Turkish: a text that another sentence has is left out.
        """
        first: dict[str, Sentence] = {}
        both = {split: [*some] for split, some in spoken.items()}
        for split, some in spoken.items():
            for i, (id, sentence, _, voice) in enumerate(some):
                language = self.languages[i % len(self.languages)]
                if first.setdefault(_text(sentence, language), sentence) == sentence:
                    kind = speech.training_voices if _trains(voice) else speech.held_out_voices
                    other = rng.choice(kind(language))
                    both[split].append(_Spoken(f"{id}-{language}", sentence, language, other))
        return both

    def _sizes(self) -> dict[str, int]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def _examples(spoken: Sequence[_Spoken], corpus: Toy) -> Iterator[Example]:
    for id, sentence, language, voice in spoken:
        text = _text(sentence, language)
        target = corpus.target_language if language == "en" else "en"
        labels = {"language": language, "intent": sentence.shape}
        if language == "en":
            labels |= {"slots": tags(sentence.marked), "marked": sentence.marked}
        samples = NO_AUDIO
        if corpus.sound != "none":
            if corpus.pauses:
                samples = speech.with_pauses(text, voice, random.Random(f"{corpus.seed} {id}"))
            else:
                samples = speech.synthesize(text, voice)
            times = (f"speech {start:.3f} {end:.3f}" for start, end in speech.stretches(samples))
            labels["speech"] = ", ".join(times)
            if _trains(voice):
                labels["speaker"] = voice.variant
        yield Example(
            id=id,
            audio=speech.over_telephone(samples) if corpus.sound == "telephone" else samples,
            speaker="" if corpus.sound == "none" else voice.name,
            source_text=text,
            target_text=_text(sentence, target),
            source_language=language,
            target_language=target,
            corpus="toy" if corpus.sound == "microphone" else f"toy_{corpus.sound}",
            labels=labels,
        )
