"""Digits by a speaker whom nobody heard. Beside them copies of other pitch and tempo.

    python experiments/reproduce.py unseen_speaker/pitch --corpora FOLDER

Paper: not in it.
Obtained: not yet.
"""

from base import beside

experiment = beside("data/digits_unseen_pitch")
