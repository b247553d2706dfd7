"""Table 2, row 1: joint learning without task information; the embedded corpus.

    python experiments/reproduce.py table2/toy_joint_vanilla

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.65 / 3.59 / 5.55.
Obtained: not yet.
"""

from base import toy

experiment = toy
selection = "average"
