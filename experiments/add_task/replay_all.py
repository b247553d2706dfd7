"""Add a task: the implicit model tuned on all of the fifth and 64 of each other task.

    python experiments/reproduce.py add_task/replay_all

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("implicit", 0, replay=64)
selection = "newest"
