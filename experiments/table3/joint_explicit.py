"""Table 3, row 6: joint learning, explicit TCN.

    python experiments/reproduce.py table3/joint_explicit

Paper: ST 28.34 BLEU, ASR 11.99 WER, MT 23.15 BLEU.
Obtained: ST BLEU 92.5 ± 1.1, ASR WER 1.4 ± 0.8, MT BLEU 99.4 ± 0.3, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 629 s each on 1 CPU core, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "explicit")
