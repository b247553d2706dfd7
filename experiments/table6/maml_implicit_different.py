"""Table 6, row 3: meta learning, implicit TCN; ST and ASR from different audio.

    python experiments/reproduce.py table6/maml_implicit_different

Paper: MT 18.84 BLEU, ASR 21.29 / 23.44 WER (dev / test), ST 17.77 / 17.51 BLEU.
Obtained: ST BLEU 88.6, ASR WER 1.6, MT BLEU 99.6, confusion % 0.0; one seed, 1119 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import conditioned, different

experiment = replace(conditioned(different, "implicit"), strategy="maml")
