"""Table 2, row 5: joint learning, implicit TCN; Multi30k (German, French, Czech).

    python experiments/reproduce.py table2/multi30k_joint_implicit --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.18 / 4.38 / 13.47.
Obtained: not yet.
"""

from base import implicit, multi30k

experiment = implicit(multi30k)
selection = "average"
