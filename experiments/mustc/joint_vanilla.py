"""Table 3, row 2: joint learning without task information.

    taskaware train experiments/mustc/joint_vanilla.py --out runs/mustc/joint_vanilla
    taskaware evaluate runs/mustc/joint_vanilla --select single

Paper: ST 0.81 BLEU, ASR 14.83 WER, MT 23.62 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 79,875,328 parameters; 0.89 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import vanilla

experiment = vanilla
