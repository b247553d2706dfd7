"""Spoken digits: as text by CTC, by a decoder and by both; as a label; and who speaks.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/fsdd/joint.py --out runs/fsdd
    taskaware evaluate runs/fsdd
    python experiments/heads/probe.py runs/fsdd speaker test
    python experiments/heads/baseline.py data/fsdd digit speaker

Paper: not in it.
Obtained after 800 steps (80 s of processor time, 252 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: WER by CTC 10.0, by the decoder 3.5, by both 2.0; digit
accuracy 98.5, speaker 99.0; the probe tells the speaker in 99.0 %, the digit in 98.5 %. Logistic
regression on means and deviations of log-mels: digit 97.5, speaker 100.0.
"""

from base import base

experiment = base
