"""Add a task: the base of four tasks, implicit TCN.

    python experiments/reproduce.py add_task/implicit

Paper: not in it.
Obtained: ST BLEU 90.1, ASR WER 1.7, MT BLEU 99.1, MT RO BLEU 99.3, confusion % 0.0; one seed, 837 s
each on 1 CPU core, 2026-11-22.
"""

from base import four_tasks

experiment = four_tasks("implicit")
selection = "newest"
