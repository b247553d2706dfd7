"""Kinds of modulation: one γ, β for all, on residual branches.

    python experiments/reproduce.py modulation/film_residual

Paper: not in it.
Obtained: not yet.
"""

from base import modulated

experiment = modulated(placement="residual_branch")
