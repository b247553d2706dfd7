"""Add a task: γ and β of the fifth learned from 1 example, all else frozen.

    python experiments/reproduce.py add_task/explicit_1

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("explicit", 1)
selection = "newest"
