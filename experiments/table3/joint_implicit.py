"""Table 3, row 7: joint learning, implicit TCN.

    python experiments/reproduce.py table3/joint_implicit

Paper: ST 28.64 BLEU, ASR 11.61 WER, MT 23.35 BLEU.
Obtained: ST BLEU 93.0 ± 0.7, ASR WER 1.4 ± 0.5, MT BLEU 99.8 ± 0.1, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 735 s each on 1 CPU core, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
