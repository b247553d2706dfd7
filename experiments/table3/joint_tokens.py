"""Beyond it: the decoder is told by tokens in Whisper's manner, <|de|><|translate|>.

    python experiments/reproduce.py table3/joint_tokens

Paper: not in it (Radford et al. 2022).
Obtained: not yet.
"""

from base import base, conditioned

experiment = conditioned(base, "tokens")
