"""Table 3, row 4: meta learning without task information (Indurthi et al. 2020).

    python experiments/reproduce.py table3/maml_vanilla

Paper: ST 0.51 BLEU, ASR 32.93 WER, MT 11.40 BLEU.
Obtained: not yet.
"""

from dataclasses import replace

from base import vanilla

experiment = replace(vanilla, strategy="maml")
