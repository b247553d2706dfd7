"""Table 4's manner: the model of row 7, its last five checkpoints averaged.

    python experiments/reproduce.py table3/joint_average

Paper: with the number of checkpoints not stated, ST 28.88 BLEU, ASR 10.01 WER, MT 23.71 BLEU.
Obtained: not yet.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
selection = "average"
