"""Table 3, row 7: joint learning, implicit TCN.

    python experiments/reproduce.py table3/joint_implicit

Paper: ST 28.64 BLEU, ASR 11.61 WER, MT 23.35 BLEU.
Obtained: ST BLEU 92.2, ASR WER 1.9, MT BLEU 99.8, confusion % 0.0; one seed, 514 s each on 2 CPU
cores, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
