"""Add a task: the base of four tasks, implicit TCN.

    python experiments/reproduce.py add_task/implicit

Paper: not in it.
Obtained: not yet.
"""

from base import known

experiment = known("implicit")
selection = "newest"
