"""Table 3, row 1: direct learning, one model per task, from scratch.

One task, here ST; the other two are asr and mt:

    taskaware train experiments/mustc/direct.py:st --out runs/mustc/direct.st
    taskaware evaluate runs/mustc/direct.st --select single

Paper: ST 22.14 BLEU, ASR 25.25 WER, MT 27.93 BLEU.
Hardware: the paper's 8 × V100 for 600k steps; it states no hours.
Dry run: 79,875,328 parameters, without speech 79,472,640; 0.89 GiB each with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from dataclasses import replace

from base import vanilla

experiments = {task.name: replace(vanilla, tasks=(task,)) for task in vanilla.tasks}
