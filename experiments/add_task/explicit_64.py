"""Add a task: γ and β of the fifth learned from 64 examples, all else frozen.

    python experiments/reproduce.py add_task/explicit_64

Paper: not in it.
Obtained: ST BLEU 90.1, ASR WER 2.1, MT BLEU 99.6, MT RO BLEU 98.7, ST RO BLEU 0.6, confusion %
15.8; one seed, 45 s each on 1 CPU core, 2026-11-22.
"""

from base import added

experiment = added("explicit", 64)
selection = "newest"
