"""A shared encoder of speech with two heads: CTC for the transcript, a label for the intent.

Prepare the data as ``base.py`` says, then

    taskaware train experiments/heads/wirings/ctc_and_intent.py --out runs/ctc_and_intent
    taskaware evaluate runs/ctc_and_intent --split test_seen

Paper: not in it.
Obtained after 600 steps (11 to 38 s on an AMD EPYC with two cores, 2026-12-01), three seeds: WER
68.1 ± 2.1, accuracy of intent 94.2 ± 1.4.
"""

from base import speech, wired

experiment = wired(
    speech(name="asr", target="transcript", head="ctc"),
    speech(name="intent", target="label", column="intent"),
)
