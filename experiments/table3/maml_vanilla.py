"""Table 3, row 4: meta learning without task information (Indurthi et al. 2020).

    python experiments/reproduce.py table3/maml_vanilla

Paper: ST 0.51 BLEU, ASR 32.93 WER, MT 11.40 BLEU.
Obtained: ST BLEU 1.3, ASR WER 3.1, MT BLEU 99.4, confusion % 33.3; one seed, 686 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import vanilla

experiment = replace(vanilla, strategy="maml")
