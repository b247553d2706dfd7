"""Add a task: the base of four tasks, each with residual adapters of its own.

    python experiments/reproduce.py add_task/adapter

Paper: not in it.
Obtained: not yet.
"""

from base import ADAPTERS, known

experiment = known("explicit", ADAPTERS)
selection = "newest"
