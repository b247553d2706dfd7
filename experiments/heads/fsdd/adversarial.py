"""Spoken digits, and an adversary that makes the encoder forget who speaks.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/fsdd/adversarial.py --out runs/fsdd-adversarial
    taskaware evaluate runs/fsdd-adversarial
    python experiments/heads/probe.py runs/fsdd-adversarial speaker test

Paper: not in it.
Obtained @FSDDADV@
"""

from dataclasses import replace

from base import base

*others, speaker = base.tasks
experiment = replace(base, tasks=(*others, replace(speaker, role="adversarial")))
