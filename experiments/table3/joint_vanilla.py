"""Table 3, row 2: joint learning without task information.

    python experiments/reproduce.py table3/joint_vanilla

Paper: ST 0.81 BLEU, ASR 14.83 WER, MT 23.62 BLEU.
Obtained: ST BLEU 33.7 ± 2.1, ASR WER 35.4 ± 2.5, MT BLEU 99.7 ± 0.2, confusion % 33.3 ± 0.0; mean ±
standard deviation of 3 seeds, 588 s each on 1 CPU core, 2026-11-21.
"""

from base import vanilla

experiment = vanilla
