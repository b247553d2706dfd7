"""Add a task: adapters of the fifth learned from 16 examples, all else frozen.

    python experiments/reproduce.py add_task/adapter_16

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("adapter", 16)
selection = "newest"
