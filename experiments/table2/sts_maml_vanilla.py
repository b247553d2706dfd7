"""Table 2, row 3: meta learning without task information; real sentences.

    python experiments/reproduce.py table2/sts_maml_vanilla --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.74 / 2.93 / 5.78.
Obtained: EN DE BLEU 6.0, EN RO BLEU 0.2, EN TR BLEU 0.4, confusion % 58.1; one seed, 2776 s each on
1 CPU core, 2026-11-21.
"""

from dataclasses import replace

from base import sts

experiment = replace(sts, strategy="maml")
selection = "average"
