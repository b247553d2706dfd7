"""Emotions of people whom training has not heard, and German phones, by one encoder.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/emodb/speakers.py --out runs/emodb-speakers
    taskaware evaluate runs/emodb-speakers
    python experiments/heads/probe.py runs/emodb-speakers speaker train --within

Paper: not in it.
Obtained after 800 steps (54 s of processor time, 106 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: emotion accuracy 59.8, mean recall 61.5; PER 53.2, of
new voices but of sentences that training has heard. Logistic regression on means and deviations of
log-mels: emotion 49.5, mean recall 41.5. With each speaker left out in turn it has 56.8 and 53.1.
"""

from base import base

experiment = base
