"""Add a task: the whole implicit model tuned on 64 examples of each of the five tasks.

    python experiments/reproduce.py add_task/replay_64

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("implicit", 64, replay=64)
selection = "newest"
