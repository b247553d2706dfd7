"""A small prepared corpus of noise, with every kind of row that a task may or may not take."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support.toy_batches import load

from taskaware.config import Task
from taskaware.data.corpora.base import NO_AUDIO, Example
from taskaware.data.corpora.write import prepare
from taskaware.data.tasks import load_tasks
from taskaware.data.tokenizer import Tokenizer, train_tokenizer

NUMBERS = "null eins zwei drei vier fünf sechs sieben acht neun".split()


def noise(name, seconds):
    random = np.random.default_rng(list(name.encode()))
    return random.integers(-3000, 3000, round(seconds * 16000)).astype(np.int16)


def row(name, audio, source, target, languages=("en", "de")):
    return Example(name, audio, "", source, target, *languages, "noise")


def words(i, length):
    """A text that no other i has, of about so many words."""
    digits = f"{i:03d}" + str(i) * length
    return " ".join(NUMBERS[int(digit)] for digit in digits[: 3 + length])


def spoken(count, split="train"):
    """English speech of many lengths, transcribed and translated."""
    for i in range(count):
        audio = noise(f"{split}{i}", 0.1 + 0.8 * (i * 7 % count) / count)
        yield row(f"s{i}", audio, f"say {words(i, i % 5)}", f"sag {words(i, i * 3 % 7)}")


def written(count):
    """English text of many lengths, translated."""
    for i in range(count):
        yield row(f"w{i}", NO_AUDIO, f"read {words(i, i % 9)}", f"lies {words(i, i * 5 % 11)}")


def odd():
    """Rows that only some tasks can take."""
    yield row("only transcribed", noise("t", 0.3), "say nothing more", "", ("en", ""))
    yield row("German speech", noise("g", 0.3), "sag das", "say that", ("de", "en"))
    yield row("Turkish translation", noise("r", 0.3), "say it", "söyle", ("en", "tr"))
    yield row("untranslated text", NO_AUDIO, "read nothing more", "", ("en", ""))


def extreme():
    """Rows that are too long or too short to train on."""
    yield row("long audio", noise("l", 2.5), "say long", "sag lang")
    yield row("long target", noise("a", 0.4), "say it all", "sag " + "alles " * 60)
    yield row("long text", NO_AUDIO, "read " + "all " * 60, "lies alles")
    yield row("no frame", noise("n", 0.02), "say", "sag")


class Corpus(NamedTuple):
    folder: Path
    tokenizer: Tokenizer
    tokenizer_path: Path


SPLITS = {
    "train": [lambda: spoken(26), lambda: written(41), odd],
    "extreme": [lambda: spoken(3, "extreme"), extreme],
    "test": [lambda: spoken(7, "test"), lambda: written(5)],
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    """The corpus in a folder, and a vocabulary over its texts."""
    folder = tmp_path_factory.mktemp("noise")
    prepared = prepare("noise", lambda: SPLITS, folder / "corpus")
    rows = [row for split in SPLITS for row in prepared.rows(split)]
    texts = [text for row in rows for text in (row.source_text, row.target_text)]
    train_tokenizer(texts, 60, folder / "tokenizer.model")
    tokenizer = Tokenizer.load(folder / "tokenizer.model")
    return Corpus(folder / "corpus", tokenizer, folder / "tokenizer.model")


@pytest.fixture(scope="module")
def tasks(corpus):
    """Three tasks of the corpus, text first."""
    return load(corpus)


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """Three text tasks of 80, 20 and 5 examples."""
    folder = tmp_path_factory.mktemp("unequal")

    def rows(language, count):
        for i in range(count):
            text = f"{language} {i:02d}"
            yield Example(text, NO_AUDIO, "", f"en {i:02d}", text, "en", language, "c")

    read = [lambda: rows("de", 80), lambda: rows("ro", 20), lambda: rows("tr", 5)]
    prepare("unequal", lambda: {"train": read}, folder / "data")
    train_tokenizer(["de ro tr en 0123456789"], 20, folder / "tokenizer")
    one = Task(name="one", source="text", target="translation", metric="bleu")
    named = [
        replace(one, name=language, target_language=language, data=(str(folder / "data"),))
        for language in ("de", "ro", "tr")
    ]
    return load_tasks(named, "train", Tokenizer.load(folder / "tokenizer"))
