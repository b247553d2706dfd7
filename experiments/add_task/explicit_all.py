"""Add a task: γ and β of the fifth learned from all examples, all else frozen.

    python experiments/reproduce.py add_task/explicit_all

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("explicit", 0)
selection = "newest"
