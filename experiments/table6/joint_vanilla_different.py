"""Table 6, row 1: joint learning without task information; ST and ASR from different audio.

    python experiments/reproduce.py table6/joint_vanilla_different

Paper: MT 14.77 BLEU, ASR 29.56 / 30.87 WER (dev / test), ST 13.10 / 12.70 BLEU.
Obtained: ST BLEU 90.1, ASR WER 2.7, MT BLEU 99.6, confusion % 1.2; one seed, 968 s each on 2 CPU
cores, 2026-11-21.
"""

from base import conditioned, different

experiment = conditioned(different, "vanilla")
