"""Table 2, row 3: meta learning without task information; real sentences.

    python experiments/reproduce.py table2/sts_maml_vanilla --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 7.74 / 2.93 / 5.78.
Obtained: not yet.
"""

from dataclasses import replace

from base import sts

experiment = replace(sts, strategy="maml")
selection = "average"
