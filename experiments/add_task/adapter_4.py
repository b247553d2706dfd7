"""Add a task: adapters of the fifth learned from 4 examples, all else frozen.

    python experiments/reproduce.py add_task/adapter_4

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("adapter", 4)
selection = "newest"
