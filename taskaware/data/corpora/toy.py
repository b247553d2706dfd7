"""The embedded corpus: sentences of a written grammar, spoken by a synthesizer.

English speech and text with a translation, enough to see tasks being told apart, at no cost and
without a download. Sentences are distinct, so none of validation or test occurs in train. Train
is spoken by one set of voices, test by another, validation by both in turn.
"""

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from taskaware.data.corpora.base import (
    NO_AUDIO,
    UTTERANCES_A_SHARD,
    Example,
    PreparedCorpus,
    Splits,
    prepare,
)
from taskaware.data.toy import speech
from taskaware.data.toy.clauses import Sentence
from taskaware.data.toy.grammar import sentences
from taskaware.errors import UsageError

Sound = Literal["microphone", "telephone", "none"]

_LANGUAGES = {"de": "german", "ro": "romanian", "tr": "turkish"}


def prepare_toy(
    out: str | Path,
    *,
    train: int = 4000,
    validation: int = 200,
    test: int = 400,
    seed: int = 0,
    target_language: Literal["de", "ro", "tr"] = "de",
    sound: Sound = "microphone",
    on_example: Callable[[int], None] | None = None,
) -> PreparedCorpus:
    """Make the embedded corpus; the same arguments make the same one.

    Args:
        out: folder to write.
        train: number of sentences in that split, and so on.
        validation: the same of validation.
        test: the same of test.
        seed: which sentences, and who speaks them.
        target_language: of the translations: German, Romanian or Turkish.
        sound: what the speech went through; "none" writes text alone.
        on_example: told after each sentence how many have been spoken.

    Raises:
        UsageError: the folder is taken, a split is empty, the grammar has fewer sentences, or the
            synthesizer is not installed.
    """
    if target_language not in _LANGUAGES:
        raise UsageError(
            f"expected target language {', '.join(_LANGUAGES)}, found {target_language!r}"
        )
    sizes = {"train": train, "validation": validation, "test": test}
    for split, size in sizes.items():
        if size < 1:
            raise UsageError(f"expected 1 or more sentences in split {split!r}, found {size}")
    read = functools.partial(_read, sizes, seed, target_language, sound)
    return prepare("toy", read, out, on_example)


def _read(sizes: dict[str, int], seed: int, target_language: str, sound: Sound) -> Splits:
    drawn = iter(sentences(sum(sizes.values()), seed))
    rng = random.Random(seed)
    training, held_out = speech.training_voices(), speech.held_out_voices()
    turns = {"train": [training], "validation": [training, held_out], "test": [held_out]}
    splits = {}
    for split, size in sizes.items():
        spoken = [
            (f"{split}-{i:05}", next(drawn), rng.choice(turns[split][i % len(turns[split])]))
            for i in range(size)
        ]
        splits[split] = [
            functools.partial(_examples, spoken[i : i + UTTERANCES_A_SHARD], target_language, sound)
            for i in range(0, size, UTTERANCES_A_SHARD)
        ]
    return splits


def _examples(
    spoken: Sequence[tuple[str, Sentence, speech.Voice]], target_language: str, sound: Sound
) -> Iterator[Example]:
    for id, sentence, voice in spoken:
        samples = NO_AUDIO
        if sound != "none":
            samples = speech.synthesize(sentence.english, voice)
        yield Example(
            id=id,
            audio=speech.over_telephone(samples) if sound == "telephone" else samples,
            speaker="" if sound == "none" else voice.name,
            source_text=sentence.english,
            target_text=getattr(sentence, _LANGUAGES[target_language]),
            source_language="en",
            target_language=target_language,
            corpus="toy" if sound == "microphone" else f"toy_{sound}",
        )
