"""Add a task: the whole implicit model tuned on 64 examples of each of the five tasks.

    python experiments/reproduce.py add_task/replay_64

Paper: not in it.
Obtained: ST BLEU 79.7, ASR WER 9.8, MT BLEU 90.6, MT RO BLEU 90.8, ST RO BLEU 24.4, confusion %
4.7; one seed, 212 s each on 1 CPU core, 2026-11-22.
"""

from base import added

experiment = added("implicit", 64, replay=64)
selection = "newest"
