"""Table 2, row 1: joint learning without task information; Multi30k (German, French, Czech).

    python experiments/reproduce.py table2/multi30k_joint_vanilla --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.65 / 3.59 / 5.55.
Obtained: not yet.
"""

from base import multi30k

experiment = multi30k
selection = "average"
