"""Table 2, row 5: joint learning, implicit TCN; Multi30k (German, French, Czech).

    python experiments/reproduce.py table2/multi30k_joint_implicit --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.18 / 4.38 / 13.47.
Obtained: EN DE BLEU 20.6, EN FR BLEU 26.3, EN CS BLEU 13.2, confusion % 0.0; one seed, 1567 s each
on 1 CPU core, 2026-11-22.
"""

from base import implicit, multi30k

experiment = implicit(multi30k)
selection = "average"
