"""Goodput: the share of the time in useful steps, of a run that is killed every few minutes.

    python experiments/benchmarks/goodput.py EXPERIMENT [--steps N] [--kill-every 300]

Trains an experiment, whose corpora are prepared, from a cold start to its last step, and kills it
(SIGKILL) so many seconds after each start: what is lost are the start, the program out of the
cache, the data and the steps since the newest checkpoint. A useful step takes as long as the median
between two reports of the whole run. Saving is timed in a further run, undisturbed: how long the
loop waits in it, as a share of that run's steps. Goals: 85 % and at most 2 %. Writes
``results/benchmarks/goodput.json``.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from peers import RESULTS

from taskaware.config import Experiment
from taskaware.experiment_file import load_experiment
from taskaware.run import environment, start, write_json
from taskaware.strict_json import to_json
from taskaware.train.checkpoint import Checkpoints
from taskaware.training import train

SAVED_STEPS = 300


def main() -> None:
    """Print and store both figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("--steps", type=int, help="of training; by default the experiment's")
    parser.add_argument("--kill-every", type=float, default=300.0, help="seconds")
    parser.add_argument("--save-every", type=int, default=50, help="steps")
    options = parser.parse_args()
    experiment = load_experiment(options.experiment)
    experiment = dataclasses.replace(
        experiment,
        steps=options.steps or experiment.steps,
        save_every=options.save_every,
        log_every=10,
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds, starts = killed_now_and_then(experiment, Path(folder), options.kill_every)
        step = step_seconds(Path(folder) / "run" / "metrics.jsonl")
        waited = share_of_saving(experiment, Path(folder) / "undisturbed", step)
    goodput = experiment.steps * step / seconds
    print(f"goodput {goodput:.1%} ({starts} starts in {seconds:.0f} s), saving {waited:.1%}")
    found = {"goodput": goodput, "saving": waited, "seconds": seconds, "step_seconds": step}
    found |= {"starts": starts, "kill_every": options.kill_every, "save_every": options.save_every}
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_json(RESULTS / "goodput.json", found | {"environment": environment()})


def killed_now_and_then(
    experiment: Experiment, folder: Path, kill_every: float
) -> tuple[float, int]:
    """Return how many seconds and starts a run takes that is killed so long after each start."""
    (folder / "experiment.json").write_text(to_json(experiment))
    command = [sys.executable, "-m", "taskaware.cli", "train", str(folder / "experiment.json")]
    since, starts, code = time.monotonic(), 0, None
    while code is None:
        starts += 1
        with subprocess.Popen([*command, "--out", str(folder / "run")]) as process:
            try:
                code = process.wait(kill_every)
            except subprocess.TimeoutExpired:
                process.kill()
    if code:
        sys.exit(code)
    return time.monotonic() - since, starts


def step_seconds(metrics: Path) -> float:
    """Return the median seconds of a step between reports of one sitting."""
    reports = [json.loads(line) for line in metrics.read_text().splitlines()]

    def each() -> Iterator[float]:
        for before, after in itertools.pairwise(reports):
            steps, seconds = (after[key] - before[key] for key in ("step", "seconds"))
            if seconds > 0:  # else a new sitting began between them
                yield seconds / steps

    return statistics.median(each())


def share_of_saving(experiment: Experiment, folder: Path, step: float) -> float:
    """Return how long the loop waits for saves, as a share of the steps' own time."""
    spent, save = [], Checkpoints.save

    def timed(self: Checkpoints, *args):
        since = time.perf_counter()
        save(self, *args)
        spent.append(time.perf_counter() - since)

    Checkpoints.save = timed
    try:
        train(start(dataclasses.replace(experiment, steps=SAVED_STEPS), folder))
    finally:
        Checkpoints.save = save
    return sum(spent) / (SAVED_STEPS * step)


if __name__ == "__main__":
    main()
