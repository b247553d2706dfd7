"""Cost of each kind of modulation per training step, as a ratio to a step without any.

    python experiments/benchmarks/modulation.py

The rows of ``experiments/modulation/``, on random batches of the shapes of their data; steps take
turns, so that a busy machine slows all. Writes ``results/benchmarks/modulation.json``, from which
``tables.py`` fills its column.
"""

import datetime
import sys
from dataclasses import replace
from pathlib import Path

import jax
from flax import nnx
from maml import TASKS, VOCABULARY, batch, in_turns, ratio

from taskaware.config import Experiment
from taskaware.devices.machine import cpu_count
from taskaware.files.whole import write_json
from taskaware.models.building import build
from taskaware.training.joint import Step, joint_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import TrainState, initial_state

sys.path.insert(0, str(Path(__file__).parents[1]))
from reproduce import RESULTS, TABLES, recipe

ROWS = 16


def main() -> None:
    """Measure every row, print the ratios and store them."""
    rows = {name: recipe(f"modulation/{name}")["experiment"] for name in TABLES["modulation"]}
    film = rows["film"]
    rows["vanilla"] = replace(film, model=replace(film.model, conditioning="vanilla"))
    seconds = in_turns({name: (*step_and_state(row), batch(ROWS)) for name, row in rows.items()})
    ratios = {name: ratio(seconds[name], seconds["vanilla"]) for name in TABLES["modulation"]}
    for name, value in ratios.items():
        print(f"{name}: {value:.2f} of a step without modulation")
    about = {"date": str(datetime.date.today()), "cpus": cpu_count()}
    about |= {"device": jax.devices()[0].device_kind}
    write_json(RESULTS / "benchmarks" / "modulation.json", about | {"ratio": ratios})


def step_and_state(experiment: Experiment) -> tuple[Step, TrainState]:
    """Return the training step of an experiment, and where it begins."""
    model = build(experiment.model, VOCABULARY, TASKS, speech=True, seed=0)
    optimizer = make_optimizer(experiment.optimizer, experiment.model.d_model)
    step = joint_step(
        nnx.graphdef(model), optimizer, Objective(experiment.optimizer.label_smoothing)
    )
    return step, initial_state(nnx.state(model), optimizer, 0)


if __name__ == "__main__":
    main()
