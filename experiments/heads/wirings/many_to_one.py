"""Many inputs, one output: an intent from speech and from text, by one head.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/wirings/many_to_one.py --out runs/many_to_one
    taskaware evaluate runs/many_to_one --split test_seen

Paper: not in it.
Obtained @M1@
"""

from base import speech, text, wired

experiment = wired(
    speech(name="intent_speech", target="label", column="intent"),
    text(name="intent_text", target="label", column="intent"),
)
