"""Figure 2a: t-SNE of implicit task vectors, text tasks alone.

    python experiments/reproduce.py figure2/a

The model is that of Table 2, row 5, on the embedded corpus.

Paper: three clusters, one per task; no number.
Obtained: EN DE BLEU 99.7, EN RO BLEU 99.5, EN TR BLEU 98.0, confusion % 0.0; silhouette by task
0.96; one seed, 330 s each on 1 CPU core, 2026-11-21.
"""

from pathlib import Path

from taskaware.config.file import definitions, load_experiment

table = Path(__file__).parents[1] / "table2"
experiment = load_experiment(table / "toy_joint_implicit.py")
data = definitions(table / "base.py")["data"]
selection = "average"
draw = True
