"""Table 6, row 3: meta learning, implicit TCN; ST and ASR from different audio.

    python experiments/reproduce.py table6/maml_implicit_different

Paper: MT 18.84 BLEU, ASR 21.29 / 23.44 WER (dev / test), ST 17.77 / 17.51 BLEU.
Obtained: not yet.
"""

from dataclasses import replace

from base import conditioned, different

experiment = replace(conditioned(different, "implicit"), strategy="maml")
