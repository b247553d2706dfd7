"""Table 2, row 4: meta learning, a text prefix names the task (OHV); the embedded corpus.

    python experiments/reproduce.py table2/toy_maml_prefix

Paper (Europarl and SETIMES, German / Turkish / Romanian): BLEU 16.08 / 5.93 / 12.43.
Obtained: not yet.
"""

from dataclasses import replace

from base import prefixed, toy

experiment = replace(prefixed(toy), strategy="maml")
selection = "average"
