"""Add a task: adapters of the fifth learned from 16 examples, all else frozen.

    python experiments/reproduce.py add_task/adapter_16

Paper: not in it.
Obtained: ST BLEU 90.4, ASR WER 1.8, MT BLEU 99.8, MT RO BLEU 99.4, ST RO BLEU 5.5, confusion % 4.9;
one seed, 38 s each on 2 CPU cores, 2026-11-22.
"""

from base import added

experiment = added("adapter", 16)
selection = "newest"
