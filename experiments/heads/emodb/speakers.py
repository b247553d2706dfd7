"""Emotions of people whom training has not heard, and German phones, by one encoder.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/emodb/speakers.py --out runs/emodb-speakers
    taskaware evaluate runs/emodb-speakers
    python experiments/heads/probe.py runs/emodb-speakers speaker train --within

Paper: not in it.
Obtained @SPEAKERS@
"""

from base import base

experiment = base
