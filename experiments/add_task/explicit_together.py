"""Add a task: all five from the start, explicit TCN; what adding is compared with.

    python experiments/reproduce.py add_task/explicit_together

Paper: not in it.
Obtained: not yet.
"""

from base import together

experiment = together("explicit")
selection = "newest"
