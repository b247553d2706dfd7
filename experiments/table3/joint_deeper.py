"""§3.3.2's depth ablation: row 2 with half as many blocks again, 2 + 4.

    python experiments/reproduce.py table3/joint_deeper

Paper: no number; more layers (16 instead of 12) gave "inferior performance".
Obtained: ST BLEU 35.2, ASR WER 39.1, MT BLEU 99.7, confusion % 33.3; one seed, 728 s each on 2 CPU
cores, 2026-11-21.
"""

from base import base, conditioned

experiment = conditioned(base, "vanilla", encoder_layers=2, decoder_layers=4)
