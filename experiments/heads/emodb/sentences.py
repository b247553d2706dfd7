"""Emotion, phones and speaker of sentences that training has not heard.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/emodb/sentences.py --out runs/emodb-sentences
    taskaware evaluate runs/emodb-sentences
    python experiments/heads/baseline.py data/emodb_sentences emotion speaker

Paper: not in it.
Obtained after 800 steps (77 s of processor time, 166 s on two cores of an AMD EPYC server that did
other work meanwhile, 2026-12-01), one seed: emotion accuracy 51.0, mean recall 52.5, PER 79.2,
speaker accuracy 58.0 of ten. It loses to logistic regression on means and deviations of log-mels:
emotion 66.0, speaker 91.0. These moments are just what normalization takes from the model's input.
"""

from dataclasses import replace

from base import base, speaker

tasks = (replace(task, data=speaker.data) for task in base.tasks)
experiment = replace(base, tasks=(*tasks, speaker))
