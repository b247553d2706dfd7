"""Table 2, row 2: joint learning, a text prefix names the task (OHV); Multi30k.

    python experiments/reproduce.py table2/multi30k_joint_prefix --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.77 / 6.10 / 11.79.
Obtained: EN DE BLEU 18.6, EN FR BLEU 24.0, EN CS BLEU 12.0, confusion % 0.1; one seed, 2056 s each
on 1 CPU core, 2026-11-21.
"""

from base import multi30k, prefixed

experiment = prefixed(multi30k)
selection = "average"
