"""Parallel text, and what is prepared from it or refused."""

import gzip

import pytest

from taskaware.data.corpora.parallel import Parallel
from taskaware.data.corpora.write import prepare_corpus
from taskaware.errors import UsageError

ENGLISH = "good day\ngood night\n"
GERMAN = "guten Tag\ngute Nacht\n"
ROMANIAN = "bună ziua\nnoapte bună\n"
TABLE = "good day\tguten Tag\tbună ziua\ngood night\tgute Nacht\tnoapte bună\n"
PAIRS = [("good day", "guten Tag"), ("good night", "gute Nacht")]
TRAIN = {"train": ("train",)}


def write(folder, **texts):
    """Write files named train.en, train.de.gz and so on; bytes are written as they are."""
    for ending, text in texts.items():
        content = text.encode() if isinstance(text, str) else text
        packed = isinstance(text, str) and ending.endswith(".gz")
        (folder / f"train.{ending}").write_bytes(gzip.compress(content) if packed else content)
    return folder


def prepared(folder, languages="en de", splits=TRAIN, **options):
    out = folder.parent / "out"
    columns = options.pop("columns", ())
    corpus = Parallel(folder, tuple(languages.split()), **splits, columns=columns)
    return prepare_corpus(corpus, out, **options)


def texts(corpus, split="train"):
    return [(row.source_text, row.target_text) for row in corpus.rows(split)]


def refusal(folder, languages="en de", splits=TRAIN):
    """The message with which files are refused: one line, and nothing is left behind."""
    with pytest.raises(UsageError) as error:
        prepared(folder, languages, splits)
    assert "\n" not in str(error.value)
    assert not list(folder.parent.glob("*out*"))
    return str(error.value)


def left_out(folder, languages="en de"):
    """The corpus, and where in it pairs were left out."""
    corpus = prepared(folder, languages)
    assert {item.reason for item in corpus.left_out("train")} <= {"a side of the pair is empty"}
    return corpus, [item.where for item in corpus.left_out("train")]
