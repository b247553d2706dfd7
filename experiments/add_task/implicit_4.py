"""Add a task: the fifth's vector made of 4 examples, without a gradient.

    python experiments/reproduce.py add_task/implicit_4

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("implicit", 4)
selection = "newest"
