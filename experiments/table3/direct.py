"""Table 3, row 1: direct learning, one model per task, from scratch.

    python experiments/reproduce.py table3/direct

Paper: ST 22.14 BLEU, ASR 25.25 WER, MT 27.93 BLEU.
Obtained: ST BLEU 60.7, ASR WER 4.8, MT BLEU 99.8; one seed, 343 s each on 2 CPU cores, 2026-11-21.
"""

from dataclasses import replace

from base import vanilla

experiments = {task.name: replace(vanilla, tasks=(task,)) for task in vanilla.tasks}
