"""Table 2, row 5: joint learning, implicit TCN; the embedded corpus.

    python experiments/reproduce.py table2/toy_joint_implicit

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.18 / 4.38 / 13.47.
Obtained: not yet.
"""

from base import implicit, toy

experiment = implicit(toy)
selection = "average"
