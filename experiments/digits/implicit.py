"""Spoken digits, implicit: an example of the task (eq. 2-5).

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/digits/implicit.py --out runs/digits-implicit
    taskaware evaluate runs/digits-implicit
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="implicit"))
