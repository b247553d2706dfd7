"""Kinds of modulation: one γ, β for all blocks, on whole block outputs (the paper's eq. 6-7).

    python experiments/reproduce.py modulation/film

Paper: it has the first of these kinds alone, no number at this size.
Obtained: not yet.
"""

from base import modulated

experiment = modulated()
