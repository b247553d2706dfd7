"""Digits by a speaker whom nobody heard. The recordings as they are.

    python experiments/reproduce.py unseen_speaker/plain --corpora FOLDER

Paper: not in it.
Obtained: ST WER 43.9 ± 7.5, ASR WER 46.7 ± 7.4, MT WER 2.5 ± 2.0, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 345 s each on 1 CPU core, 2026-11-21.
"""

from base import base

experiment = base
