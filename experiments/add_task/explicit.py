"""Add a task: the base of four tasks, explicit TCN.

    python experiments/reproduce.py add_task/explicit

Paper: not in it.
Obtained: not yet.
"""

from base import known

experiment = known("explicit")
selection = "newest"
