"""CTC by its definition: every alignment of a few positions, one by one, in float64."""

import itertools

import numpy as np


def log_softmax(logits):
    """Of float64 numbers, over the last axis."""
    z = np.asarray(logits, np.float64)
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def collapsed(path):
    """An alignment's labels: repeats merged, blanks (0) dropped."""
    return tuple(token for token, _ in itertools.groupby(path) if token)


def label_probabilities(log_p_SV):
    """The probability of every label sequence that some alignment of these positions gives."""
    positions, vocab_size = log_p_SV.shape
    total = {}
    for path in itertools.product(range(vocab_size), repeat=positions):
        p = np.exp(sum(log_p_SV[t, token] for t, token in enumerate(path)))
        labels = collapsed(path)
        total[labels] = total.get(labels, 0.0) + p
    return total
