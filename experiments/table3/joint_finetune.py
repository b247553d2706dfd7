"""Table 3, row 3: joint learning, then fine-tuning: three models, each scored on its own task.

What each has forgotten of the others is in ``results/table3/joint_finetune.forgetting.json``.

    python experiments/reproduce.py table3/joint_finetune

Paper: ST 25.99 BLEU, ASR 12.95 WER, MT 22.63 BLEU.
Obtained: ST BLEU 87.1, ASR WER 4.0, MT BLEU 99.5, confusion % 0.0; one seed, 85 s each on 2 CPU
cores, 2026-11-21.
"""

from base import finetuned, vanilla

experiments = finetuned("joint_vanilla", vanilla)
