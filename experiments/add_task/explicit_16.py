"""Add a task: γ and β of the fifth learned from 16 examples, all else frozen.

    python experiments/reproduce.py add_task/explicit_16

Paper: not in it.
Obtained: not yet.
"""

from base import added

experiment = added("explicit", 16)
selection = "newest"
