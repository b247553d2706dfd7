"""Table 3, row 9: meta learning, explicit TCN.

    python experiments/reproduce.py table3/maml_explicit

Paper: ST 28.16 BLEU, ASR 11.68 WER, MT 23.13 BLEU.
Obtained: ST BLEU 91.7, ASR WER 1.5, MT BLEU 99.8, confusion % 0.0; one seed, 690 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "explicit"), strategy="maml")
