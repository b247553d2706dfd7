"""Table 6, row 1: joint learning without task information; ST and ASR from the same audio.

    python experiments/reproduce.py table6/joint_vanilla_same

Paper: no numbers; §6.1.2 says that outputs mix without task information.
Obtained: ST BLEU 35.0, ASR WER 39.3, MT BLEU 99.6, confusion % 33.3; one seed, 381 s each on 2 CPU
cores, 2026-11-21.
"""

from base import conditioned, same

experiment = conditioned(same, "vanilla")
