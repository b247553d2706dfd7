"""Add a task: all five from the start, implicit TCN; what adding is compared with.

    python experiments/reproduce.py add_task/implicit_together

Paper: not in it.
Obtained: ST BLEU 94.6, ASR WER 1.5, MT BLEU 99.4, MT RO BLEU 99.2, ST RO BLEU 93.5, confusion %
0.0; one seed, 784 s each on 1 CPU core, 2026-11-22.
"""

from base import together

experiment = together("implicit")
selection = "newest"
