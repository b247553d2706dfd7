"""Digits by a speaker whom nobody heard. The recordings as they are.

    python experiments/reproduce.py unseen_speaker/plain --corpora FOLDER

Paper: not in it.
Obtained: not yet.
"""

from base import base

experiment = base
