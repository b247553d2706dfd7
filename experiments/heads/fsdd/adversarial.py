"""Spoken digits, and an adversary that makes the encoder forget who speaks.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/fsdd/adversarial.py --out runs/fsdd-adversarial
    taskaware evaluate runs/fsdd-adversarial
    python experiments/heads/probe.py runs/fsdd-adversarial speaker test

Paper: not in it.
Obtained after 800 steps (78 s of processor time, 209 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: WER by CTC 8.0, by the decoder 1.5, by both 2.0; digit
accuracy 98.0. The adversary ends at 17.5 %, below chance (25.0), and of the features' variance 4.2
% is between speakers in place of 26.0. But the probe, trained anew, still tells them in 92.0 %,
after 2,238 steps of ``--steps 2400`` in 90.0, and with ``--tasks.4.reversal 5`` in 94.5, where
digits fall to 63.0: the aim, a probe at chance, is not reached.
"""

from dataclasses import replace

from base import base

*others, speaker = base.tasks
experiment = replace(base, tasks=(*others, replace(speaker, role="adversarial")))
