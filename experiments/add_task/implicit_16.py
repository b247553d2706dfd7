"""Add a task: the fifth's vector made of 16 examples, without a gradient.

    python experiments/reproduce.py add_task/implicit_16

Paper: not in it.
Obtained: ST BLEU 90.1, ASR WER 1.7, MT BLEU 99.1, MT RO BLEU 99.3, ST RO BLEU 0.1, confusion %
20.0; one seed, 0 s each on 1 CPU core, 2026-11-22.
"""

from base import added

experiment = added("implicit", 16)
selection = "newest"
