"""Digits by a speaker whom nobody heard. The recordings, under SpecAugment's masks.

    python experiments/reproduce.py unseen_speaker/masks --corpora FOLDER

Paper: not in it.
Obtained: ST WER 42.7 ± 2.4, ASR WER 39.5 ± 9.2, MT WER 1.7 ± 0.9, confusion % 0.0 ± 0.0; mean ±
standard deviation of 3 seeds, 333 s each on 1 CPU core, 2026-11-21.
"""

from dataclasses import replace

from base import base

from taskaware.config import SpecAugment

masks = SpecAugment(frequency_masks=2, time_masks=2, frequency_width=15, time_width=20)
experiment = replace(base, spec_augment=masks)
