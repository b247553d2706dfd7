"""Table 6, row 2: meta learning without task information; ST and ASR from different audio.

    python experiments/reproduce.py table6/maml_vanilla_different

Paper: MT 14.74 BLEU, ASR 28.58 / 29.92 WER (dev / test), ST 13.89 / 13.67 BLEU.
Obtained: ST BLEU 86.5, ASR WER 2.1, MT BLEU 99.2, confusion % 1.8; one seed, 608 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import conditioned, different

experiment = replace(conditioned(different, "vanilla"), strategy="maml")
