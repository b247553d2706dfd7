"""Table 3, row 6: joint learning, explicit TCN.

    taskaware train experiments/mustc/joint_explicit.py --out runs/mustc/joint_explicit
    taskaware evaluate runs/mustc/joint_explicit --select single

Paper: ST 28.34 BLEU, ASR 11.99 WER, MT 23.15 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 79,878,400 parameters, 3,072 of the TCN; 0.89 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import base, conditioned

experiment = conditioned(base, "explicit")
