"""Spoken digits, vanilla: no task information, so English or German is anybody's guess.

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/digits/vanilla.py --out runs/digits-vanilla
    taskaware evaluate runs/digits-vanilla
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="vanilla"))
