"""Table 2, row 4: meta learning, a text prefix names the task (OHV); real sentences.

    python experiments/reproduce.py table2/sts_maml_prefix --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.08 / 5.93 / 12.43.
Obtained: not yet.
"""

from dataclasses import replace

from base import prefixed, sts

experiment = replace(prefixed(sts), strategy="maml")
selection = "average"
