"""Digits by a speaker whom nobody heard. The recordings as they are.

    python experiments/reproduce.py unseen_speaker/plain --corpora FOLDER

Paper: not in it.
Obtained: ST WER 43.1 ± 10.4, ASR WER 46.8 ± 10.4, MT WER 3.5 ± 1.2, confusion % 0.0 ± 0.0; mean ±
standard deviation of 2 seeds, 335 s each on 1 CPU core, 2026-11-21.
"""

from base import base

experiment = base
