"""Spoken digits, vanilla: no task information, so English or German is anybody's guess.

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/digits/vanilla.py --out runs/digits-vanilla
    taskaware evaluate runs/digits-vanilla

Paper: not in it.
Obtained after 1,200 steps (161 s on two CPU cores, 2026-11-20): WER ST 38.0, ASR 66.4, MT 1.3;
confusion 33.3 %. Expected: far above 10 for ST and ASR.
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="vanilla"))
