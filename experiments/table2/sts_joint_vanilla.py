"""Table 2, row 1: joint learning without task information; real sentences.

    python experiments/reproduce.py table2/sts_joint_vanilla --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.65 / 3.59 / 5.55.
Obtained: not yet.
"""

from base import sts

experiment = sts
selection = "average"
