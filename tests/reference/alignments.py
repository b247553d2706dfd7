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


def prefix_scores(log_p_SV, prefix):
    """log ψ of a prefix followed by every token, log P of the prefix itself, and log ψ of it.

    Watanabe et al. 2017, algorithm 2, position by position, for a prefix of any length.
    """
    positions, vocab_size = log_p_SV.shape
    label, blank = np.full(positions + 1, -np.inf), np.zeros(positions + 1)
    blank[1:] = np.cumsum(log_p_SV[:, 0])
    last, psi = None, 0.0
    for c in prefix:
        phi = blank if c == last else np.logaddexp(label, blank)
        longer, ended = np.full(positions + 1, -np.inf), np.full(positions + 1, -np.inf)
        psi = -np.inf
        for t in range(1, positions + 1):
            psi = np.logaddexp(psi, phi[t - 1] + log_p_SV[t - 1, c])
            longer[t] = np.logaddexp(longer[t - 1], phi[t - 1]) + log_p_SV[t - 1, c]
            ended[t] = np.logaddexp(longer[t - 1], ended[t - 1]) + log_p_SV[t - 1, 0]
        label, blank, last = longer, ended, c
    psi_V = np.full(vocab_size, -np.inf)
    phi = np.logaddexp(label, blank)
    for t in range(1, positions + 1):
        psi_V = np.logaddexp(psi_V, phi[t - 1] + log_p_SV[t - 1])
    if last is not None:
        psi_V[last] = np.logaddexp.reduce(blank[:-1] + log_p_SV[:, last])
    return psi_V, phi[-1], psi
