"""Digits by a speaker whom nobody heard. Beside them copies of other pitch and tempo.

    python experiments/reproduce.py unseen_speaker/pitch --corpora FOLDER

Paper: not in it.
Obtained: ST WER 54.5, ASR WER 52.8, MT WER 1.3, confusion % 0.0; one seed, 402 s each on 1 CPU
core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_pitch")
