"""Table 3, row 8: the model of row 7, each task at its own best checkpoint.

    python experiments/reproduce.py table3/joint_taskwise

Paper: ST 28.88 BLEU, ASR 11.36 WER, MT 23.71 BLEU.
Obtained: not yet.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
selection = "taskwise"
