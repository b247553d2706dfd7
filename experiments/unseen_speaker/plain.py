"""Digits by a speaker whom nobody heard. The recordings as they are.

    python experiments/reproduce.py unseen_speaker/plain --corpora FOLDER

Paper: not in it.
Obtained: ST WER 35.8, ASR WER 39.5, MT WER 2.7, confusion % 0.0; one seed, 269 s each on 1 CPU
core, 2026-11-21.
"""

from base import base

experiment = base
