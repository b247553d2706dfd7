"""Digits by a speaker whom nobody heard. Beside them copies in white noise, SNR 5 to 20 dB.

    python experiments/reproduce.py unseen_speaker/noise --corpora FOLDER

Paper: not in it.
Obtained: ST WER 44.8 ± 11.4, ASR WER 44.0 ± 9.6, MT WER 1.2 ± 0.2, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 568 s each on 1 CPU core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_noise")
