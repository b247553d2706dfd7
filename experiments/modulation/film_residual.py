"""Kinds of modulation: one γ, β for all, on residual branches.

    python experiments/reproduce.py modulation/film_residual

Paper: not in it.
Obtained: ST BLEU 91.3, ASR WER 1.6, MT BLEU 99.8, confusion % 0.0; one seed, 369 s each on 1 CPU
core, 2026-11-22.
"""

from base import modulated

experiment = modulated(placement="residual_branch")
