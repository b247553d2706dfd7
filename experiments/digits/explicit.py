"""Spoken digits, explicit: a one-hot task id (eq. 1).

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/digits/explicit.py --out runs/digits-explicit
    taskaware evaluate runs/digits-explicit
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="explicit"))
