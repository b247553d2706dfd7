"""Table 3, row 10: meta learning, implicit TCN.

    python experiments/reproduce.py table3/maml_implicit

Paper: ST 28.55 BLEU, ASR 11.65 WER, MT 23.41 BLEU.
Obtained: ST BLEU 91.6, ASR WER 1.5, MT BLEU 99.5, confusion % 0.0; one seed, 1686 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "implicit"), strategy="maml")
