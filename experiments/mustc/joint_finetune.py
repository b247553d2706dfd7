"""Table 3, row 3: joint learning, then fine-tuning: three models, each scored on its own task.

One task, here ST; the other two are asr and mt:

    taskaware train experiments/mustc/joint_finetune.py:st --out runs/mustc/joint_finetune.st
    taskaware evaluate runs/mustc/joint_finetune.st --select single

Paper: ST 25.99 BLEU, ASR 12.95 WER, MT 22.63 BLEU.
Hardware: the paper's 8 × V100 for 600k steps and 10k of each task; it states no hours.
Dry run: 79,875,328 parameters; 0.89 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import finetuned, vanilla

experiments = finetuned("joint_vanilla", vanilla)
