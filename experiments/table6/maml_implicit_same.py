"""Table 6, row 3: meta learning, implicit TCN; ST and ASR from the same audio.

    python experiments/reproduce.py table6/maml_implicit_same

Paper: no numbers; §6.1.2 says that outputs mix without task information.
Obtained: not yet.
"""

from dataclasses import replace

from base import conditioned, same

experiment = replace(conditioned(same, "implicit"), strategy="maml")
