"""Digits by a speaker whom nobody heard. The recordings, under SpecAugment's masks.

    python experiments/reproduce.py unseen_speaker/masks --corpora FOLDER

Paper: not in it.
Obtained: not yet.
"""

from dataclasses import replace

from base import base

from taskaware.config import SpecAugment

masks = SpecAugment(frequency_masks=2, time_masks=2, frequency_width=15, time_width=20)
experiment = replace(base, spec_augment=masks)
