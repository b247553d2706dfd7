"""Add a task: the base of four tasks, each with residual adapters of its own.

    python experiments/reproduce.py add_task/adapter

Paper: not in it.
Obtained: ST BLEU 90.4, ASR WER 1.8, MT BLEU 99.8, MT RO BLEU 99.4, confusion % 0.0; one seed, 392 s
each on 2 CPU cores, 2026-11-22.
"""

from base import ADAPTERS, four_tasks

experiment = four_tasks("explicit", ADAPTERS)
selection = "newest"
