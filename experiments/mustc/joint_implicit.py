"""Table 3, row 7: joint learning, implicit TCN.

    taskaware train experiments/mustc/joint_implicit.py --out runs/mustc/joint_implicit
    taskaware evaluate runs/mustc/joint_implicit --select single

Paper: ST 28.64 BLEU, ASR 11.61 WER, MT 23.35 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 80,863,872 parameters, 988,544 of the TCN; 0.90 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
