"""Digits by a speaker whom nobody heard. Beside them copies with an echo, in the paper's ranges.

    python experiments/reproduce.py unseen_speaker/echo --corpora FOLDER

Paper: not in it.
Obtained: ST WER 41.5, ASR WER 44.1, MT WER 1.3, confusion % 0.0; one seed, 459 s each on 1 CPU
core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_echo")
