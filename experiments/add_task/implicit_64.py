"""Add a task: the fifth's vector made of 64 examples, without a gradient.

    python experiments/reproduce.py add_task/implicit_64

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("implicit", 64)
selection = "newest"
