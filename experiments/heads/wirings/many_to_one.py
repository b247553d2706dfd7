"""Many inputs, one output: an intent from speech and from text, by one head.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/wirings/many_to_one.py --out runs/many_to_one
    taskaware evaluate runs/many_to_one --split test_seen

Paper: not in it.
Obtained after 600 steps, a short training (30 s of processor time, 13 to 33 s on two cores of an
AMD EPYC server that did other work meanwhile, 2026-12-01), three seeds: intent accuracy 89.7 ± 2.7
from speech, 99.8 ± 0.1 from text.
"""

from base import speech, text, wired

experiment = wired(
    speech(name="intent_speech", target="label", column="intent"),
    text(name="intent_text", target="label", column="intent"),
)
