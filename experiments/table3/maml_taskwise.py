"""Table 3, row 11: the model of row 10, each task at its own best checkpoint.

    python experiments/reproduce.py table3/maml_taskwise

Paper: ST 28.59 BLEU, ASR 11.28 WER, MT 23.57 BLEU.
Obtained: ST BLEU 90.4, ASR WER 1.9, MT BLEU 99.4, confusion % 0.0; one seed, 1048 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "implicit"), strategy="maml")
selection = "taskwise"
