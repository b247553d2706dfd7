"""Table 2, row 5: joint learning, implicit TCN; real sentences.

    python experiments/reproduce.py table2/sts_joint_implicit --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.18 / 4.38 / 13.47.
Obtained: EN DE BLEU 5.3, EN RO BLEU 3.3, EN TR BLEU 2.9, confusion % 1.5; one seed, 570 s each on 2
CPU cores, 2026-11-21.
"""

from base import implicit, sts

experiment = implicit(sts)
selection = "average"
