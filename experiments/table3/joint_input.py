"""§3.3.2: the implicit TCN's output as a vector before source and target.

    python experiments/reproduce.py table3/joint_input

Paper: no number; "comparable" on ASR, on ST "erratic" and mixed with ASR.
Obtained: ST BLEU 92.2, ASR WER 1.9, MT BLEU 99.9, confusion % 0.0; one seed, 408 s each on 2 CPU
cores, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit", injection="input")
