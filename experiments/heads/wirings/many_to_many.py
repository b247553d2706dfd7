"""Many inputs, many outputs: translation and intent from speech and text, slots from text.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/wirings/many_to_many.py --out runs/many_to_many
    taskaware evaluate runs/many_to_many --split test_seen

Paper: not in it.
Obtained after 600 steps, a short training (59 s of processor time, 71 s on two cores of an AMD EPYC
server that did other work meanwhile, 2026-12-01), one seed: BLEU ST 4.1, MT 47.0; intent accuracy
91.0 from speech, 100.0 from text; span F1 of slots 91.8. ST needs the most steps of all.
"""

from base import speech, text, wired

experiment = wired(
    speech(name="st", target="translation"),
    text(name="mt", target="translation"),
    speech(name="intent_speech", target="label", column="intent"),
    text(name="intent_text", target="label", column="intent"),
    text(name="slots", target="tags", column="slots"),
)
