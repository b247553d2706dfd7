"""Table 3, row 4: meta learning without task information (Indurthi et al. 2020).

    taskaware train experiments/mustc/maml_vanilla.py --out runs/mustc/maml_vanilla
    taskaware evaluate runs/mustc/maml_vanilla --select single

Paper: ST 0.51 BLEU, ASR 32.93 WER, MT 11.40 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 79,875,328 parameters; 0.89 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from dataclasses import replace

from base import vanilla

experiment = replace(vanilla, strategy="maml")
