"""Table 3, row 11: the model of row 10, each task at its own best checkpoint.

The same run as that row's, which is not trained twice:

    taskaware train experiments/mustc/maml_taskwise.py --out runs/mustc/maml_implicit
    taskaware evaluate runs/mustc/maml_implicit --select taskwise

Paper: ST 28.59 BLEU, ASR 11.28 WER, MT 23.57 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 80,863,872 parameters, 988,544 of the TCN; 0.90 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "implicit"), strategy="maml")
selection = "taskwise"
