"""Emotions and phones, and an adversary that makes the encoder forget who speaks.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/emodb/adversarial.py --out runs/emodb-adversarial
    taskaware evaluate runs/emodb-adversarial
    python experiments/heads/probe.py runs/emodb-adversarial speaker train --within

Paper: not in it.
Obtained after 800 steps (78 s of processor time, 132 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: emotion accuracy 57.9, mean recall 46.0, PER 71.0;
without an adversary (``speakers.py``) all three are better. A probe tells the six speakers of
training apart in 58.8 % of the clips (chance 20.5), and without an adversary in 47.8: the encoder
fools its adversary and forgets nothing. To forget speakers does not help here.
"""

from dataclasses import replace

from base import base, speaker

known = replace(speaker, data=("data/emodb",), role="adversarial")
experiment = replace(base, tasks=(*base.tasks, known))
