"""Miniature corpora: their files, what is prepared from them, and how they are refused."""

import numpy as np
import pytest
import soundfile

from taskaware.data.corpora.summary import check
from taskaware.data.corpora.write import prepare_corpus
from taskaware.errors import UsageError

RATE = 16000


def noise(seconds, seed=0, rate=RATE):
    samples = np.random.default_rng(seed).integers(-20000, 20000, round(seconds * rate))
    return samples.astype(np.int16)


def write(root, files):
    """Write files by their path: text, bytes, or samples at 16 kHz; None is no file."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case None:
                pass
            case str():
                path.write_bytes(content.encode())
            case bytes():
                path.write_bytes(content)
            case _:
                soundfile.write(path, content, RATE)
    return root


def prepared(corpus, folder, **options):
    return prepare_corpus(corpus, folder / "out", **options)


def texts(corpus, split="train"):
    return [(row.id, row.source_text, row.target_text) for row in corpus.rows(split)]


def left_out(corpus, split="train"):
    return [(item.reason, item.where) for item in corpus.left_out(split)]


def refusal(corpus, folder):
    """The one line with which a corpus is refused; nothing is left, and check says the same."""
    with pytest.raises(UsageError) as error:
        prepared(corpus, folder)
    message = str(error.value)
    assert "\n" not in message
    assert not list(folder.glob("*out*"))
    try:
        told = [line for lines in check(corpus).messages.values() for line in lines]
    except UsageError as error:
        told = [str(error)]
    said = message.partition(" (or leave such")[0].partition(" (and ")[0]
    assert said in told
    return message


def missing(corpus, folder):
    """The page that tells what is not there, and where the corpus is got."""
    with pytest.raises(UsageError) as error:
        prepared(corpus, folder)
    what, empty, *page = str(error.value).split("\n")
    assert what.startswith("expected ") and what.endswith(", found nothing there")
    assert empty == ""
    assert any("DATA_DIR/" in line for line in page)
    assert not list(folder.glob("*out*"))
    return what.removeprefix("expected ").removesuffix(", found nothing there").split(", ")
