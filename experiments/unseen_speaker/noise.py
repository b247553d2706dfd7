"""Digits by a speaker whom nobody heard. Beside them copies in white noise, SNR 5 to 20 dB.

    python experiments/reproduce.py unseen_speaker/noise --corpora FOLDER

Paper: not in it.
Obtained: not yet.
"""

from base import beside

experiment = beside("data/digits_unseen_noise")
