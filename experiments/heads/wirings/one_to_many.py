"""One input, many outputs: speech to its transcript, its intent and its speaker.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/wirings/one_to_many.py --out runs/one_to_many
    taskaware evaluate runs/one_to_many --split test_seen

Paper: not in it.
Obtained after 600 steps, a short training (37 s of processor time, 48 s on two cores of an AMD EPYC
server that did other work meanwhile, 2026-12-01), one seed: WER 73.2, still falling; accuracy of
the intent 92.8, of the speaker (of 20) 97.5.
"""

from base import speech, wired

experiment = wired(
    speech(name="asr", target="transcript", head="ctc"),
    speech(name="intent", target="label", column="intent"),
    speech(name="speaker", target="label", column="speaker"),
)
