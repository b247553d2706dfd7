"""Add a task: the base of four tasks, explicit TCN.

    python experiments/reproduce.py add_task/explicit

Paper: not in it.
Obtained: ST BLEU 90.1, ASR WER 2.1, MT BLEU 99.6, MT RO BLEU 98.7, confusion % 0.0; one seed, 524 s
each on 1 CPU core, 2026-11-22.
"""

from base import four_tasks

experiment = four_tasks("explicit")
selection = "newest"
