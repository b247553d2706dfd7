"""Table 3, row 10: meta learning, implicit TCN.

    taskaware train experiments/mustc/maml_implicit.py --out runs/mustc/maml_implicit
    taskaware evaluate runs/mustc/maml_implicit --select single

Paper: ST 28.55 BLEU, ASR 11.65 WER, MT 23.41 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 80,863,872 parameters, 988,544 of the TCN; 0.90 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from dataclasses import replace

from base import base, conditioned

experiment = replace(conditioned(base, "implicit"), strategy="maml")
