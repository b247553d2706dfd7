"""Add a task: adapters of the fifth learned from 1 example, all else frozen.

    python experiments/reproduce.py add_task/adapter_1

Paper: not in it.
Obtained: ST BLEU 90.4, ASR WER 1.8, MT BLEU 99.8, MT RO BLEU 99.4, ST RO BLEU 0.6, confusion % 9.7;
one seed, 16 s each on 2 CPU cores, 2026-11-22.
"""

from base import added

experiment = added("adapter", 1)
selection = "newest"
