"""Table 2, row 1: joint learning without task information; real sentences.

    python experiments/reproduce.py table2/sts_joint_vanilla --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.65 / 3.59 / 5.55.
Obtained: EN DE BLEU 3.3, EN RO BLEU 2.5, EN TR BLEU 0.6, confusion % 54.6; one seed, 1137 s each on
1 CPU core, 2026-11-21.
"""

from base import sts

experiment = sts
selection = "average"
