"""Goodput: the share of the time in useful steps, of a run that is killed every few minutes.

    python experiments/benchmarks/goodput.py EXPERIMENT [WORK ...] [--steps N]

Works: goodput, saving; both by default. The first trains an experiment, whose corpora are prepared,
from a cold start to its last step, and kills it (SIGKILL) ``--kill-every`` seconds after each
start. Lost are the start, the program out of the cache, the data and the steps since the newest
checkpoint. A useful step takes as long as the median between two reports. The second trains a few
hundred steps undisturbed and measures how long the loop waits for saves, as a share of its steps.
Goals: 85 % and at most 2 %. Writes ``results/benchmarks/goodput.json``.
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
from typing import Any

from peers import RESULTS

from taskaware.config import Experiment
from taskaware.config.file import load_experiment
from taskaware.files.strict_json import to_json
from taskaware.files.whole import write_json
from taskaware.runs.folder import Run, environment
from taskaware.runs.trainer import train
from taskaware.training.checkpoint import Checkpoints

SAVED_STEPS = 300


def main() -> None:
    """Print and store both figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("experiment", type=Path)
    parser.add_argument("works", nargs="*", default=["goodput", "saving"], metavar="WORK")
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
    path = RESULTS / "goodput.json"
    figures = json.loads(path.read_text()) if path.exists() else {}
    for work in options.works:
        with tempfile.TemporaryDirectory() as folder:
            if work == "goodput":
                figures[work] = killed_now_and_then(experiment, Path(folder), options.kill_every)
            else:
                figures[work] = saving(experiment, Path(folder) / "undisturbed")
        print(work, "  ".join(f"{name} {value}" for name, value in figures[work].items()))
        figures[work]["environment"] = environment()
        RESULTS.mkdir(parents=True, exist_ok=True)
        write_json(path, figures)


def killed_now_and_then(experiment: Experiment, folder: Path, kill_every: float) -> dict[str, Any]:
    """Return the goodput of a run that is killed so many seconds after each start."""
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
    seconds, step = time.monotonic() - since, step_seconds(folder / "run")
    return {
        "share": experiment.steps * step / seconds,
        "seconds": seconds,
        "starts": starts,
        "kill_every": kill_every,
        "save_every": experiment.save_every,
        "step_seconds": step,
    }


def step_seconds(run: Path) -> float:
    """Return the median seconds of a step between reports of one process."""
    reports = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def each() -> Iterator[float]:
        for before, after in itertools.pairwise(reports):
            steps, seconds = (after[key] - before[key] for key in ("step", "seconds"))
            if seconds > 0:  # else a new process began between them
                yield seconds / steps

    return statistics.median(each())


def saving(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """Return how long the loop waits for saves, as a share of the steps' own time."""
    spent, save = [], Checkpoints.save

    def timed(self: Checkpoints, *args):
        since = time.perf_counter()
        save(self, *args)
        spent.append(time.perf_counter() - since)

    Checkpoints.save = timed
    try:
        train(Run.start(dataclasses.replace(experiment, steps=SAVED_STEPS), folder))
    finally:
        Checkpoints.save = save
    step = step_seconds(folder)
    return {
        "share": sum(spent) / (SAVED_STEPS * step),
        "save_seconds": statistics.median(spent),
        "save_every": experiment.save_every,
        "step_seconds": step,
    }


if __name__ == "__main__":
    main()
