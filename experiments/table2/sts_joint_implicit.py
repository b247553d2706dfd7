"""Table 2, row 5: joint learning, implicit TCN; real sentences.

    python experiments/reproduce.py table2/sts_joint_implicit --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.18 / 4.38 / 13.47.
Obtained: not yet.
"""

from base import implicit, sts

experiment = implicit(sts)
selection = "average"
