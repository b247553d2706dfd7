"""Figure 2b: t-SNE of implicit task embeddings, text and speech tasks.

    python experiments/reproduce.py figure2/b

The model is that of Table 3, row 7.

Paper: three clusters, one a task; no number.
Obtained: not yet.
"""

from pathlib import Path

from taskaware.experiment_file import definitions, load_experiment

table = Path(__file__).parents[1] / "table3"
experiment = load_experiment(table / "joint_implicit.py")
data = definitions(table / "base.py")["data"]
draw = True
