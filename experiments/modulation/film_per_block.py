"""Kinds of modulation: a γ, β for each block.

    python experiments/reproduce.py modulation/film_per_block

Paper: not in it.
Obtained: not yet.
"""

from base import modulated

experiment = modulated(sharing="per_block")
