"""Kinds of modulation: residual adapters of 16 units, of each task, at each block.

Houlsby et al. 2019.

    python experiments/reproduce.py modulation/adapter

Paper: not in it.
Obtained: not yet.
"""

from base import modulated

experiment = modulated(kind="adapter", sharing="per_block")
