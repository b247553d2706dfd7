"""Table 2, row 2: joint learning, a text prefix names the task (OHV); Multi30k.

    python experiments/reproduce.py table2/multi30k_joint_prefix --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.77 / 6.10 / 11.79.
Obtained: not yet.
"""

from base import multi30k, prefixed

experiment = prefixed(multi30k)
selection = "average"
