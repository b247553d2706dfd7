"""Digits by a speaker whom nobody heard. Beside them copies with an echo, in the paper's ranges.

    python experiments/reproduce.py unseen_speaker/echo --corpora FOLDER

Paper: not in it.
Obtained: ST WER 38.1 ± 3.7, ASR WER 40.7 ± 3.0, MT WER 1.4 ± 0.5, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 758 s each on 1 CPU core, 2026-11-21.
"""

from base import beside

experiment = beside("data/digits_unseen_echo")
