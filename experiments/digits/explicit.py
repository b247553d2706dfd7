"""Spoken digits, explicit: a one-hot task id (eq. 1).

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/digits/explicit.py --out runs/digits-explicit
    taskaware evaluate runs/digits-explicit

Paper: not in it.
Obtained after 1,200 steps (159 s on two CPU cores, 2026-11-20): WER ST 6.8, ASR 7.4, MT 0.9;
confusion 0.0 %. Expected: at most 10 for ST and ASR.
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="explicit"))
