"""Table 3, row 2: joint learning without task information.

    python experiments/reproduce.py table3/joint_vanilla

Paper: ST 0.81 BLEU, ASR 14.83 WER, MT 23.62 BLEU.
Obtained: ST BLEU 31.8, ASR WER 34.0, MT BLEU 99.5, confusion % 33.3; one seed, 351 s each on 2 CPU
cores, 2026-11-21.
"""

from base import vanilla

experiment = vanilla
