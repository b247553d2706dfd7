"""Many inputs, one output: an intent from speech and from text, by one head.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/wirings/many_to_one.py --out runs/many_to_one
    taskaware evaluate runs/many_to_one --split test_seen

Paper: not in it.
Obtained after 600 steps (7 to 22 s on an AMD EPYC with two cores, 2026-12-01), three seeds:
accuracy of intent from speech 89.7 ± 2.7, from text 99.9 ± 0.1.
"""

from base import speech, text, wired

experiment = wired(
    speech(name="intent_speech", target="label", column="intent"),
    text(name="intent_text", target="label", column="intent"),
)
