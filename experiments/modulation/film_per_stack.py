"""Kinds of modulation: one γ, β for the encoder side and one for the decoder side.

    python experiments/reproduce.py modulation/film_per_stack

Paper: not in it.
Obtained: not yet.
"""

from base import modulated

experiment = modulated(sharing="per_stack")
