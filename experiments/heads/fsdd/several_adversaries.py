"""Spoken digits, and four adversaries of half the weight that ask the same: who speaks.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/fsdd/several_adversaries.py --out runs/fsdd-several
    taskaware evaluate runs/fsdd-several
    python experiments/heads/probe.py runs/fsdd-several speaker test

Paper: not in it.
Obtained after 800 steps (101 s of processor time, 197 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: WER by CTC 12.5, decoder 3.5, both 4.0; digit accuracy
96.0. The adversaries end at 21.5 to 27.5 % (chance 25.0), and the probe, trained anew, tells the
speaker in 92.0 %, as with one adversary.
"""

from dataclasses import replace

from base import base

from taskaware.config.heads import LabelConfig

*others, speaker = base.tasks
names = ("speaker", "speaker_2", "speaker_3", "speaker_4")
adversaries = (
    replace(speaker, name=name, head=name, role="adversarial", reversal=0.5) for name in names
)
experiment = replace(
    base,
    tasks=(*others, *adversaries),
    model=replace(base.model, heads=tuple(LabelConfig(name=name) for name in names)),
)
