"""Add a task: the implicit model tuned on all of the fifth and 64 of each other task.

    python experiments/reproduce.py add_task/replay_all

Paper: not in it.
Obtained: ST BLEU 61.7, ASR WER 23.7, MT BLEU 82.0, MT RO BLEU 89.9, ST RO BLEU 70.0, confusion %
0.7; one seed, 199 s each on 1 CPU core, 2026-11-22.
"""

from base import added

experiment = added("implicit", None, replay=64)
selection = "newest"
