"""Add a task: all five from the start, explicit TCN; what adding is compared with.

    python experiments/reproduce.py add_task/explicit_together

Paper: not in it.
Obtained: ST BLEU 91.2, ASR WER 2.2, MT BLEU 99.3, MT RO BLEU 99.6, ST RO BLEU 91.5, confusion %
0.0; one seed, 841 s each on 1 CPU core, 2026-11-22.
"""

from base import together

experiment = together("explicit")
selection = "newest"
