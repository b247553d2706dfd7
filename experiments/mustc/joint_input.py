"""§3.3.2: the implicit TCN's output as a vector before source and target.

    taskaware train experiments/mustc/joint_input.py --out runs/mustc/joint_input
    taskaware evaluate runs/mustc/joint_input --select single

Paper: no number; "comparable" on ASR, on ST "erratic" and mixed with ASR.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 80,732,288 parameters, 856,960 of the TCN; 0.90 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit", injection="input")
