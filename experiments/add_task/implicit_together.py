"""Add a task: all five from the start, implicit TCN; what adding is compared with.

    python experiments/reproduce.py add_task/implicit_together

Paper: not in it.
Obtained: not yet.
"""

from base import together

experiment = together("implicit")
selection = "newest"
