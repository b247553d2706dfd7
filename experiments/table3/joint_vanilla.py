"""Table 3, row 2: joint learning without task information.

    python experiments/reproduce.py table3/joint_vanilla

Paper: ST 0.81 BLEU, ASR 14.83 WER, MT 23.62 BLEU.
Obtained: not yet.
"""

from base import vanilla

experiment = vanilla
