"""Table 6, row 2: meta learning without task information; ST and ASR from the same audio.

    python experiments/reproduce.py table6/maml_vanilla_same

Paper: no numbers; §6.1.2 says that outputs mix without task information.
Obtained: ST BLEU 1.3, ASR WER 3.1, MT BLEU 99.4, confusion % 33.3; one seed, 686 s each on 2 CPU
cores, 2026-11-21.
"""

from dataclasses import replace

from base import conditioned, same

experiment = replace(conditioned(same, "vanilla"), strategy="maml")
