"""Add a task: adapters of the fifth learned from all examples, all else frozen.

    python experiments/reproduce.py add_task/adapter_all

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("adapter", 0)
selection = "newest"
