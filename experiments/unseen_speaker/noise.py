"""Digits by a speaker whom nobody heard. Beside them copies in white noise, SNR 5 to 20 dB.

    python experiments/reproduce.py unseen_speaker/noise --corpora FOLDER

Paper: not in it.
Obtained: ST WER 51.3 ± 1.7, ASR WER 48.2 ± 9.0, MT WER 1.3 ± 0.0, confusion % 0.0 ± 0.0; mean ±
standard deviation of 2 seeds, 361 s each on 1 CPU core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_noise")
