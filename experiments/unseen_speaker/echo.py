"""Digits by a speaker whom nobody heard. Beside them copies with an echo, in the paper's ranges.

    python experiments/reproduce.py unseen_speaker/echo --corpora FOLDER

Paper: not in it.
Obtained: ST WER 37.8 ± 5.2, ASR WER 41.8 ± 3.3, MT WER 1.2 ± 0.2, confusion % 0.0 ± 0.0; mean ±
standard deviation of 2 seeds, 599 s each on 1 CPU core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_echo")
