"""Table 3, row 5: meta learning, then fine-tuning: three models, each scored on its own task.

One task, here ST; the other two are asr and mt:

    taskaware train experiments/mustc/maml_finetune.py:st --out runs/mustc/maml_finetune.st
    taskaware evaluate runs/mustc/maml_finetune.st --select single

Paper: ST 26.03 BLEU, ASR 12.83 WER, MT 22.15 BLEU.
Hardware: the paper's 8 × V100 for 600k steps and 10k of each task; it states no hours.
Dry run: 79,875,328 parameters; 0.89 GiB with Adam's state.
Obtained: nothing yet: it needs the corpora and 8 accelerators.
"""

from base import finetuned, vanilla

experiments = finetuned("maml_vanilla", vanilla)
