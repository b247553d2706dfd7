"""Digits by a speaker whom nobody heard. Beside them copies of other pitch and tempo.

    python experiments/reproduce.py unseen_speaker/pitch --corpora FOLDER

Paper: not in it.
Obtained: ST WER 49.4 ± 5.4, ASR WER 46.8 ± 7.0, MT WER 1.1 ± 0.4, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 373 s each on 1 CPU core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_pitch")
