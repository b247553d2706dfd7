"""Digits by a speaker whom nobody heard. Beside them copies in white noise, SNR 5 to 20 dB.

    python experiments/reproduce.py unseen_speaker/noise --corpora FOLDER

Paper: not in it.
Obtained: ST WER 52.5, ASR WER 54.5, MT WER 1.3, confusion % 0.0; one seed, 413 s each on 1 CPU
core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_noise")
