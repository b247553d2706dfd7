"""Table 6, row 3: meta learning, implicit TCN; ST and ASR from the same audio.

    python experiments/reproduce.py table6/maml_implicit_same

Paper: no numbers; §6.1.2 says that outputs mix without task information.
Obtained: ST BLEU 90.4, ASR WER 1.8, MT BLEU 99.5, confusion % 0.0; one seed, 1048 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import conditioned, same

experiment = replace(conditioned(same, "implicit"), strategy="maml")
