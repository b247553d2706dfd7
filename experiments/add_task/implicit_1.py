"""Add a task: the fifth's vector made of 1 example, without a gradient.

    python experiments/reproduce.py add_task/implicit_1

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("implicit", 1)
selection = "newest"
