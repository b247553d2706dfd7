"""Table 2, row 1: joint learning without task information; the embedded corpus.

    python experiments/reproduce.py table2/toy_joint_vanilla

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.65 / 3.59 / 5.55.
Obtained: EN DE BLEU 38.1, EN RO BLEU 37.6, EN TR BLEU 25.1, confusion % 66.7; one seed, 115 s each
on 2 CPU cores, 2026-11-21.
"""

from base import toy

experiment = toy
selection = "average"
