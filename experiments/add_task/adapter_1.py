"""Add a task: adapters of the fifth learned from 1 example, all else frozen.

    python experiments/reproduce.py add_task/adapter_1

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("adapter", 1)
selection = "newest"
