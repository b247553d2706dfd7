"""Add a task: adapters of the fifth learned from 64 examples, all else frozen.

    python experiments/reproduce.py add_task/adapter_64

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("adapter", 64)
selection = "newest"
