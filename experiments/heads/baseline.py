"""What a simple model gets on prepared data with labels: what a neural one has to beat.

    python experiments/heads/baseline.py FOLDER COLUMN [COLUMN …]
    python experiments/heads/baseline.py data/fsdd digit speaker
    python experiments/heads/baseline.py data/slurp_text intent --tags slots

Of speech, logistic regression on the mean and deviation of each of 80 log-mel channels over the
utterance, not normalized: loudness and channel are in them, which the models here do not hear. Of
text, logistic regression on words and pairs of words. Of BIO tags, the tag that each word has most
often in training. It learns from the split train and prints scores on test; a label that training
lacks counts as an error.
"""

import argparse
import collections
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taskaware.data.audio.features import log_mel
from taskaware.data.corpora.base import PreparedCorpus, Row
from taskaware.errors import UsageError
from taskaware.evaluation.metrics.labels import ACCURACY, UAR
from taskaware.evaluation.metrics.spans import SPAN_F1


def main() -> None:
    """Print a line per column."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of taskaware prepare")
    parser.add_argument("columns", nargs="*", help="of labels")
    parser.add_argument("--tags", nargs="*", default=[], help="columns of BIO tags")
    options = parser.parse_args()
    corpus = PreparedCorpus(options.folder)
    spoken = corpus.rows("train")[0].num_samples > 0
    moments = {split: moments_of(corpus, split) for split in ("train", "test") if spoken}
    for column in [*options.columns, *options.tags]:
        places = {split: labelled(corpus, split, column) for split in ("train", "test")}
        train, test = ([corpus.rows(split)[i] for i in chosen] for split, chosen in places.items())
        references = [row.labels[column] for row in test]
        if column in options.tags:
            f1 = SPAN_F1.score(frequent_tags(train, test, column), references, "").value
            print(f"{column}: span F1 {f1:.1f} of {len(test)}")
            continue
        if spoken:
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
            train_X, test_X = (moments[split][places[split]] for split in ("train", "test"))
        else:
            words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
            model = make_pipeline(words, LogisticRegression(C=30, max_iter=2000))
            train_X, test_X = ([row.source_text for row in some] for some in (train, test))
        answers = model.fit(train_X, [row.labels[column] for row in train]).predict(test_X).tolist()
        accuracy, uar = (one.score(answers, references, "").value for one in (ACCURACY, UAR))
        most, count = collections.Counter(references).most_common(1)[0]
        print(
            f"{column}: accuracy {accuracy:.1f}, mean recall {uar:.1f} of {len(test)}; "
            f"most frequent {most!r} {count / len(test):.1%}"
        )


def labelled(corpus: PreparedCorpus, split: str, column: str) -> list[int]:
    """Return the places of the rows that have a label."""
    places = [i for i, row in enumerate(corpus.rows(split)) if row.labels.get(column)]
    if not places:
        raise UsageError(f"{corpus.directory}: expected labels {column!r} in {split}, found none")
    return places


def moments_of(corpus: PreparedCorpus, split: str) -> np.ndarray:
    """Return the mean and deviation of each log-mel channel of every utterance."""
    frames = (log_mel(corpus.audio(split, row)) for row in range(len(corpus.rows(split))))
    return np.stack([np.concatenate([one.mean(0), one.std(0)]) for one in frames])


def frequent_tags(train: Sequence[Row], test: Sequence[Row], column: str) -> list[str]:
    """Return, for each sentence, the tag that each word has most often in training."""
    tags: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in train:
        for word, tag in zip(row.source_text.split(), row.labels[column].split(), strict=True):
            tags[word][tag] += 1
    best = {word: counts.most_common(1)[0][0] for word, counts in tags.items()}
    return [" ".join(best.get(word, "O") for word in row.source_text.split()) for row in test]


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(str(error))
