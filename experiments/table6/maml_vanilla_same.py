"""Table 6, row 2: meta learning without task information; ST and ASR from the same audio.

    python experiments/reproduce.py table6/maml_vanilla_same

Paper: no numbers; §6.1.2 says that outputs mix without task information.
Obtained: not yet.
"""

from dataclasses import replace

from base import conditioned, same

experiment = replace(conditioned(same, "vanilla"), strategy="maml")
