"""Kinds of modulation: fixed random masks of half the features, of each task, at each branch.

Strezoski et al. 2019.

    python experiments/reproduce.py modulation/mask

Paper: not in it.
Obtained: not yet.
"""

from base import modulated

experiment = modulated(kind="mask", sharing="per_block", placement="residual_branch")
