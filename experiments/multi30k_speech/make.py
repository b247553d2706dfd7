"""Have the English side of Multi30k spoken by the synthesizer, with German as the translation.

    python experiments/multi30k_speech/make.py MULTI30K data/multi30k_speech
    taskaware vocab --data data/multi30k_speech --size 8000 --out data/multi30k_speech.model

29,000 sentences to train on make about 28 hours of speech. ``--share 0.05`` takes every 20th
sentence of each split, to try the way on a small machine. Train is spoken by the embedded corpus'
training voices, validation and test by its held-out ones.
"""

import argparse
import functools
import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

from taskaware.data.corpora.base import UTTERANCES_PER_SHARD, Example, Splits
from taskaware.data.corpora.write import prepare
from taskaware.data.toy import speech
from taskaware.runs.console import shard_counter

SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}

Pair = tuple[int, str, str]
"""A sentence's line, its English and its German text."""


def main() -> None:
    """Write the corpus that the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("multi30k", type=Path, help="folder of train.en.gz and its like")
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=1.0, help="of the sentences")
    options = parser.parse_args()
    every = round(1 / options.share)
    pairs = {split: _pairs(options.multi30k, name)[::every] for split, name in SPLITS.items()}
    with shard_counter("speaking Multi30k") as tell:
        read = functools.partial(_splits, pairs)
        workers = os.cpu_count() or 1
        corpus = prepare("multi30k_speech", read, options.out, workers=workers, on_shard=tell)
    for split in corpus.splits:
        rows = corpus.rows(split)
        hours = sum(row.num_samples for row in rows) / 16_000 / 3600
        print(f"{options.out}: {split} {len(rows)} sentences, {hours:.2f} hours of speech")


def _pairs(multi30k: Path, name: str) -> list[Pair]:
    """Return the pairs of a split, in the order of its lines."""
    english, german = (
        gzip.decompress((multi30k / f"{name}.{language}.gz").read_bytes()).decode().splitlines()
        for language in ("en", "de")
    )
    return [(i, *pair) for i, pair in enumerate(zip(english, german, strict=True))]


def _splits(pairs: dict[str, list[Pair]]) -> Splits:
    return {
        split: [
            functools.partial(_speak, split, some[first : first + UTTERANCES_PER_SHARD])
            for first in range(0, len(some), UTTERANCES_PER_SHARD)
        ]
        for split, some in pairs.items()
    }


def _speak(split: str, pairs: list[Pair]) -> Iterator[Example]:
    voices = speech.training_voices() if split == "train" else speech.held_out_voices()
    for line, english, german in pairs:
        voice = random.Random(f"{split} {line}").choice(voices)
        english, german = (" ".join(text.split()) for text in (english, german))
        yield Example(
            id=f"{SPLITS[split]}.{line}",
            audio=speech.synthesize(english, voice),
            speaker=voice.name,
            source_text=english,
            target_text=german,
            source_language="en",
            target_language="de",
            corpus="multi30k_speech",
        )


if __name__ == "__main__":
    main()
