"""Table 3, row 10: meta learning, implicit TCN.

    python experiments/reproduce.py table3/maml_implicit

Paper: ST 28.55 BLEU, ASR 11.65 WER, MT 23.41 BLEU.
Obtained: not yet.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "implicit"), strategy="maml")
