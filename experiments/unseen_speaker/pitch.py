"""Digits by a speaker whom nobody heard. Beside them copies of other pitch and tempo.

    python experiments/reproduce.py unseen_speaker/pitch --corpora FOLDER

Paper: not in it.
Obtained: ST WER 49.2 ± 7.6, ASR WER 46.0 ± 9.7, MT WER 1.0 ± 0.5, confusion % 0.0 ± 0.0; mean ±
standard deviation of 2 seeds, 397 s each on 1 CPU core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_pitch")
