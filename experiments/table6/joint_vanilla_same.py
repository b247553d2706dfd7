"""Table 6, row 1: joint learning without task information; ST and ASR from the same audio.

    python experiments/reproduce.py table6/joint_vanilla_same

Paper: no numbers; §6.1.2 says that outputs mix without task information.
Obtained: not yet.
"""

from base import conditioned, same

experiment = conditioned(same, "vanilla")
