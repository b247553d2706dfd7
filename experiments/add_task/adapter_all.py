"""Add a task: adapters of the fifth learned from all examples, all else frozen.

    python experiments/reproduce.py add_task/adapter_all

Paper: not in it.
Obtained: ST BLEU 90.4, ASR WER 1.8, MT BLEU 99.8, MT RO BLEU 99.4, ST RO BLEU 37.1, confusion %
0.1; one seed, 27 s each on 2 CPU cores, 2026-11-22.
"""

from base import added

experiment = added("adapter", None)
selection = "newest"
