"""Digits by a speaker whom nobody heard. The recordings, under SpecAugment's masks.

    python experiments/reproduce.py unseen_speaker/masks --corpora FOLDER

Paper: not in it.
Obtained: ST WER 41.1, ASR WER 36.5, MT WER 1.3, confusion % 0.0; one seed, 360 s each on 1 CPU
core, 2026-11-21.
"""

from dataclasses import replace

from base import base

from taskaware.config import SpecAugment

masks = SpecAugment(frequency_masks=2, time_masks=2, frequency_width=15, time_width=20)
experiment = replace(base, spec_augment=masks)
