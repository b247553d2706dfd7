"""Spoken digits: as text by CTC, by a decoder and by both; as a label; and who speaks.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/fsdd/joint.py --out runs/fsdd
    taskaware evaluate runs/fsdd
    python experiments/heads/probe.py runs/fsdd speaker test
    python experiments/heads/baseline.py data/fsdd digit speaker

Paper: not in it.
Obtained @FSDD@
"""

from base import base

experiment = base
