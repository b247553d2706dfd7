"""Table 4's manner: the model of row 7, its last five checkpoints averaged.

    python experiments/reproduce.py table3/joint_average

Paper: with the number of checkpoints not stated, ST 28.88 BLEU, ASR 10.01 WER, MT 23.71 BLEU.
Obtained: ST BLEU 93.5, ASR WER 1.1, MT BLEU 99.8, confusion % 0.0; one seed, 514 s each on 2 CPU
cores, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
selection = "average"
