"""Table 3, row 5: meta learning, then fine-tuning: three models, each scored on its own task.

What each has forgotten of the others is in ``results/table3/maml_finetune.forgetting.json``.

    python experiments/reproduce.py table3/maml_finetune

Paper: ST 26.03 BLEU, ASR 12.83 WER, MT 22.15 BLEU.
Obtained: ST BLEU 87.3, ASR WER 5.0, MT BLEU 99.3, confusion % 0.0; one seed, 104 s each on 2 CPU
cores, 2026-11-21.
"""

from base import finetuned, vanilla

experiments = finetuned("maml_vanilla", vanilla)
