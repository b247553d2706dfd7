"""Table 2, row 5: joint learning, implicit TCN; the embedded corpus.

    python experiments/reproduce.py table2/toy_joint_implicit

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.18 / 4.38 / 13.47.
Obtained: EN DE BLEU 99.7, EN RO BLEU 99.7, EN TR BLEU 98.7, confusion % 0.0; one seed, 137 s each
on 2 CPU cores, 2026-11-21.
"""

from base import implicit, toy

experiment = implicit(toy)
selection = "average"
