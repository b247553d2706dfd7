"""Table 2, row 4: meta learning, a text prefix names the task (OHV); real sentences.

    python experiments/reproduce.py table2/sts_maml_prefix --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.08 / 5.93 / 12.43.
Obtained: EN DE BLEU 5.5, EN RO BLEU 3.3, EN TR BLEU 3.0, confusion % 1.0; one seed, 2771 s each on
1 CPU core, 2026-11-21.
"""

from dataclasses import replace

from base import prefixed, sts

experiment = replace(prefixed(sts), strategy="maml")
selection = "average"
