"""Table 3, row 8: the model of row 7, each task at its own best checkpoint.

The same run as that row's, which is not trained twice:

    taskaware train experiments/mustc/joint_taskwise.py --out runs/mustc/joint_implicit
    taskaware evaluate runs/mustc/joint_implicit --select taskwise

Paper: ST 28.88 BLEU, ASR 11.36 WER, MT 23.71 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 80,863,872 parameters, 988,544 of the TCN; 0.90 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import base, conditioned

experiment = conditioned(base, "implicit")
selection = "taskwise"
