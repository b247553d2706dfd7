"""§3.3.2: the implicit TCN's output as a vector before source and target.

    python experiments/reproduce.py table3/joint_input

Paper: no number; "comparable" on ASR, on ST "erratic" and mixed with ASR.
Obtained: not yet.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit", injection="input")
