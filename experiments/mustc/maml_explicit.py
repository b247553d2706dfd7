"""Table 3, row 9: meta learning, explicit TCN.

    taskaware train experiments/mustc/maml_explicit.py --out runs/mustc/maml_explicit
    taskaware evaluate runs/mustc/maml_explicit --select single

Paper: ST 28.16 BLEU, ASR 11.68 WER, MT 23.13 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 79,878,400 parameters, 3,072 of the TCN; 0.89 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "explicit"), strategy="maml")
