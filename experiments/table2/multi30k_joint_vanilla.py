"""Table 2, row 1: joint learning without task information; Multi30k (German, French, Czech).

    python experiments/reproduce.py table2/multi30k_joint_vanilla --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.65 / 3.59 / 5.55.
Obtained: EN DE BLEU 4.3, EN FR BLEU 21.9, EN CS BLEU 0.8, confusion % 66.4; one seed, 2701 s each
on 1 CPU core, 2026-11-21.
"""

from base import multi30k

experiment = multi30k
selection = "average"
