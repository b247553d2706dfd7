"""Table 3, row 6: joint learning, explicit TCN.

    python experiments/reproduce.py table3/joint_explicit

Paper: ST 28.34 BLEU, ASR 11.99 WER, MT 23.15 BLEU.
Obtained: not yet.
"""

from base import base, conditioned

experiment = conditioned(base, "explicit")
