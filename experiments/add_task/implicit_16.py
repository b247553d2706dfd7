"""Add a task: the fifth's vector made of 16 examples, without a gradient.

    python experiments/reproduce.py add_task/implicit_16

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("implicit", 16)
selection = "newest"
