"""Table 3, row 8: the model of row 7, each task at its own best checkpoint.

    python experiments/reproduce.py table3/joint_taskwise

Paper: ST 28.88 BLEU, ASR 11.36 WER, MT 23.71 BLEU.
Obtained: ST BLEU 92.2, ASR WER 1.9, MT BLEU 99.8, confusion % 0.0; one seed, 514 s each on 2 CPU
cores, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
selection = "taskwise"
