"""Add a task: γ and β of the fifth learned from all examples, all else frozen.

    python experiments/reproduce.py add_task/explicit_all

Paper: not in it.
Obtained: ST BLEU 90.1, ASR WER 2.1, MT BLEU 99.6, MT RO BLEU 98.7, ST RO BLEU 0.9, confusion %
14.2; one seed, 59 s each on 1 CPU core, 2026-11-22.
"""

from base import added

experiment = added("explicit", None)
selection = "newest"
