"""Table 3, row 10: meta learning, implicit TCN.

    python experiments/reproduce.py table3/maml_implicit

Paper: ST 28.55 BLEU, ASR 11.65 WER, MT 23.41 BLEU.
Obtained: ST BLEU 92.7 ± 1.0, ASR WER 1.4 ± 0.1, MT BLEU 99.7 ± 0.2, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 1665 s each on 1 CPU core, 2026-11-22.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "implicit"), strategy="maml")
