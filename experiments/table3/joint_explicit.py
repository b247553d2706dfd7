"""Table 3, row 6: joint learning, explicit TCN.

    python experiments/reproduce.py table3/joint_explicit

Paper: ST 28.34 BLEU, ASR 11.99 WER, MT 23.15 BLEU.
Obtained: ST BLEU 91.3, ASR WER 1.3, MT BLEU 99.0, confusion % 0.0; one seed, 444 s each on 2 CPU
cores, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "explicit")
