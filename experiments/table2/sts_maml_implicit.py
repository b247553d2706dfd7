"""Table 2, row 6: meta learning, implicit TCN; real sentences.

    python experiments/reproduce.py table2/sts_maml_implicit --corpora FOLDER

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 14.50 / 4.43 / 14.32.
Obtained: not yet.
"""

from dataclasses import replace

from base import implicit, sts

experiment = replace(implicit(sts), strategy="maml")
selection = "average"
