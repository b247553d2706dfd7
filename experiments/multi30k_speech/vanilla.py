"""Multi30k spoken, vanilla: ST, ASR and MT of 29,000 captions, 20,000 steps on one GPU.

Prepare the data as ``make.py`` beside this file says, then

    taskaware train experiments/multi30k_speech/vanilla.py --out runs/multi30k_speech/vanilla
    taskaware evaluate runs/multi30k_speech/vanilla --select average

Paper: not in it; the setting is that of its Table 3, with identical audio for ST and ASR.
Obtained: nothing yet, it needs a GPU; test is test_2016_flickr.
"""

from dataclasses import replace

from base import base

experiment = replace(base, model=replace(base.model, conditioning="vanilla"))
