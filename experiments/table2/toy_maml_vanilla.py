"""Table 2, row 3: meta learning without task information; the embedded corpus.

    python experiments/reproduce.py table2/toy_maml_vanilla

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.74 / 2.93 / 5.78.
Obtained: EN DE BLEU 0.1, EN RO BLEU 0.1, EN TR BLEU 98.3, confusion % 66.7; one seed, 414 s each on
2 CPU cores, 2026-11-21.
"""

from dataclasses import replace

from base import toy

experiment = replace(toy, strategy="maml")
selection = "average"
