"""Spoken digits, implicit: an example of the task (eq. 2-5).

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/digits/implicit.py --out runs/digits-implicit
    taskaware evaluate runs/digits-implicit

Paper: not in it.
Obtained after 1,200 steps (228 s on two CPU cores, 2026-11-20): WER ST 5.5, ASR 4.9, MT 2.5;
confusion 0.0 %. Expected: at most 10 for ST and ASR.
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="implicit"))
