"""Table 2, row 2: joint learning, a text prefix names the task (OHV); the embedded corpus.

    python experiments/reproduce.py table2/toy_joint_prefix

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.77 / 6.10 / 11.79.
Obtained: EN DE BLEU 99.1, EN RO BLEU 99.4, EN TR BLEU 98.5, confusion % 0.0; one seed, 133 s each
on 2 CPU cores, 2026-11-21.
"""

from base import prefixed, toy

experiment = prefixed(toy)
selection = "average"
