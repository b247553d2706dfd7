"""Table 3, row 9: meta learning, explicit TCN.

    python experiments/reproduce.py table3/maml_explicit

Paper: ST 28.16 BLEU, ASR 11.68 WER, MT 23.13 BLEU.
Obtained: not yet.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "explicit"), strategy="maml")
