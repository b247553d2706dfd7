"""Add a task: γ and β of the fifth learned from 4 examples, all else frozen.

    python experiments/reproduce.py add_task/explicit_4

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("explicit", 4)
selection = "newest"
