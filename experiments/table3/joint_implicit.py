"""Table 3, row 7: joint learning, implicit TCN.

    python experiments/reproduce.py table3/joint_implicit

Paper: ST 28.64 BLEU, ASR 11.61 WER, MT 23.35 BLEU.
Obtained: not yet.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
