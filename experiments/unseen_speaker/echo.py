"""Digits by a speaker whom nobody heard. Beside them copies with an echo, in the paper's ranges.

    python experiments/reproduce.py unseen_speaker/echo --corpora FOLDER

Paper: not in it.
Obtained: not yet.
"""

from base import beside

experiment = beside("data/digits_unseen_echo")
