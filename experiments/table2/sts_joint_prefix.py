"""Table 2, row 2: joint learning, a text prefix names the task (OHV); real sentences.

    python experiments/reproduce.py table2/sts_joint_prefix --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.77 / 6.10 / 11.79.
Obtained: EN DE BLEU 5.1, EN RO BLEU 3.1, EN TR BLEU 3.1, confusion % 0.7; one seed, 1125 s each on
1 CPU core, 2026-11-21.
"""

from base import prefixed, sts

experiment = prefixed(sts)
selection = "average"
