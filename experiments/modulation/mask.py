"""Kinds of modulation: fixed random masks of half the features, of each task, at each branch.

Strezoski et al. 2019.

    python experiments/reproduce.py modulation/mask

Paper: not in it.
Obtained: ST BLEU 84.7, ASR WER 1.7, MT BLEU 99.9, confusion % 0.0; one seed, 675 s each on 1 CPU
core, 2026-11-22.
"""

from base import modulated

experiment = modulated(kind="mask", sharing="per_block", placement="residual_branch")
