"""Kinds of modulation: one γ, β for all, on the normed input of each branch (adaLN).

    python experiments/reproduce.py modulation/film_norm

Paper: not in it.
Obtained: not yet.
"""

from base import modulated

experiment = modulated(placement="norm")
