"""Table 2, row 2: joint learning, a text prefix names the task (OHV); the embedded corpus.

    python experiments/reproduce.py table2/toy_joint_prefix

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.77 / 6.10 / 11.79.
Obtained: not yet.
"""

from base import prefixed, toy

experiment = prefixed(toy)
selection = "average"
