"""Train, score and store rows of the paper's tables, one after the other.

    python experiments/reproduce.py                          all of them
    python experiments/reproduce.py table2 table3 table6 figure2   2.4 hours on 2 cores
    python experiments/reproduce.py table3                   one table
    python experiments/reproduce.py table3/joint_implicit    one row

Runs in the folder where it is started: data goes to ``data/``, runs to ``runs/``, results to
``experiments/results/``. A row whose result stands there is not run again, and an interrupted one
goes on where it stopped. On a CPU as many rows run at once as there are cores, each on its own:
models this small leave a second core half idle. ``--corpora`` names a folder that holds the small
real corpora of Table 2 and Figure 2c (multi30k, sts_de_ro_tr, ...); without it, rows that need
them are left out.

A row's file defines ``experiment``, or ``experiments``: several runs by the task that each is
scored on. ``selection`` says which checkpoint is scored, ``draw`` whether its vectors are
drawn. ``data``, there or in the folder's ``base.py``, has the commands that make what is needed.
"""

import argparse
import collections
import dataclasses
import datetime
import json
import os
import queue
import shlex
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from taskaware.config import Experiment
from taskaware.config.file import definitions
from taskaware.evaluation.results import Result, stored_results
from taskaware.files.strict_json import from_json, load, to_json
from taskaware.files.whole import write_text

HERE = Path(__file__).parent
RESULTS = HERE / "results"
TABLES = {
    "table3": (
        *("joint_vanilla", "joint_explicit", "joint_implicit", "joint_taskwise"),
        *("joint_average", "direct", "joint_finetune", "joint_tokens", "joint_input"),
        *("joint_deeper", "maml_vanilla", "maml_explicit", "maml_implicit", "maml_taskwise"),
        "maml_finetune",
    ),
    "table6": (
        *("joint_vanilla_same", "maml_vanilla_same", "maml_implicit_same"),
        *("joint_vanilla_different", "maml_vanilla_different", "maml_implicit_different"),
    ),
    "table2": (
        *("toy_joint_vanilla", "toy_joint_prefix", "toy_joint_implicit", "toy_maml_vanilla"),
        *("toy_maml_prefix", "toy_maml_implicit", "sts_joint_vanilla", "sts_joint_prefix"),
        *("sts_joint_implicit", "sts_maml_vanilla", "sts_maml_prefix", "sts_maml_implicit"),
        *("multi30k_joint_vanilla", "multi30k_joint_prefix", "multi30k_joint_implicit"),
    ),
    "figure2": ("a", "b", "c"),
    "modulation": (
        *("film", "film_per_stack", "film_per_block", "film_residual", "film_norm"),
        *("adapter", "mask"),
    ),
    "add_task": (
        *("explicit", "explicit_1", "explicit_4", "explicit_16", "explicit_64", "explicit_all"),
        *("explicit_together", "adapter", "adapter_1", "adapter_4", "adapter_16", "adapter_64"),
        *("adapter_all", "implicit", "implicit_1", "implicit_4", "implicit_16"),
        *("implicit_64", "replay_64", "replay_all", "implicit_together"),
    ),
    "unseen_speaker": ("plain", "echo", "noise", "pitch", "masks"),
}
SEEDS = {
    "table3/joint_vanilla": 3,
    "table3/joint_explicit": 3,
    "table3/joint_implicit": 3,
    "table3/maml_implicit": 3,
    **{f"unseen_speaker/{row}": 3 for row in TABLES["unseen_speaker"]},
}
"""Rows that are reported as mean ± standard deviation."""


def main() -> None:
    """Run the rows that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="*", default=list(TABLES), metavar="TABLE[/ROW]")
    parser.add_argument("--corpora", type=Path, help="folder of the small real corpora")
    parser.add_argument("--seeds", type=int, nargs="+", help="instead of those of the table")
    parser.add_argument("--jobs", type=int, help="rows at once; every core of a CPU, else one")
    options = parser.parse_args()
    rows = [
        f"{table}/{row}"
        for table, names in TABLES.items()
        for row in names
        if {table, f"{table}/{row}"} & set(options.rows)
    ]
    if unknown := set(options.rows) - {*TABLES, *rows}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(TABLES)} or a row")
    # First every row once, then the further seeds; of rows that share a run, one goes ahead.
    first = {str(experiments(recipe(row))): row for row in reversed(rows)}
    shared = {row for row in rows if row not in first.values()}
    turns = [(seed, row) for row in rows for seed in options.seeds or range(SEEDS.get(row, 1))]
    turns.sort(key=lambda turn: (turn[0], turn[1] in shared))
    with on_cores(options.jobs) as pool:
        made = [pool.submit(reproduce, row, seed, options.corpora) for seed, row in turns]
        try:
            for row in as_completed(made):
                row.result()
        except BaseException:  # the others end the row they are at
            pool.shutdown(cancel_futures=True)
            raise


LOCKS: collections.defaultdict[str, threading.Lock] = collections.defaultdict(threading.Lock)
"""Held while a row makes the data, or trains an experiment that other rows share."""


def on_cores(jobs: int | None) -> ThreadPoolExecutor:
    """Return threads for ``jobs`` rows at once; each one's processes keep to its share of cores."""
    if not hasattr(os, "sched_setaffinity"):
        return ThreadPoolExecutor(jobs or 1)
    cores = sorted(os.sched_getaffinity(0))
    if jobs is None:
        # Asked of another process: one that has looked at a GPU holds its memory.
        backend = "import jax; print(jax.default_backend())"
        probe = subprocess.run([sys.executable, "-c", backend], capture_output=True, text=True)
        jobs = len(cores) if probe.stdout.strip() == "cpu" else 1
    shares: queue.Queue[list[int]] = queue.Queue()
    for job in range(jobs):
        shares.put(cores[job::jobs] or cores)
    # Of the calling thread alone; what it starts inherits it.
    return ThreadPoolExecutor(jobs, initializer=lambda: os.sched_setaffinity(0, shares.get()))


def reproduce(row: str, seed: int, corpora: Path | None) -> None:
    """Make one row's result, unless it stands there already."""
    defined = recipe(row)
    runs = experiments(defined)
    runs = {name: dataclasses.replace(run, seed=seed) for name, run in runs.items()}
    path = RESULTS / f"{row}.{seed}.json"
    if path.exists() and stored_experiments(path) == runs:
        print(f"{row} seed {seed}: done before", flush=True)
        return
    commands = defined.get("data") or recipe(f"{row.split('/')[0]}/base")["data"]
    with LOCKS["data"]:
        ready = prepare(commands, list(runs.values()), corpora)
    if not ready:
        print(f"{row}: left out, it needs --corpora", flush=True)
        return
    selection = defined.get("selection", "single")
    folders = {name: train(f"{row}{'.' if name else ''}{name}", run) for name, run in runs.items()}
    scored = {name: scores(folder, selection) for name, folder in folders.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    base = next((run.start_from for run in runs.values()), None)
    if base is not None:
        taskaware("forgetting", base, *map(str, folders.values()), "--out", f"runs/{row}")
        change = json.loads(Path(f"runs/{row}/forgetting.json").read_text())["change"]
        for suffix in ("json", "png", "svg") if any(map(any, change)) else ("json",):
            made = Path(f"runs/{row}/forgetting.{suffix}").read_bytes()
            path.with_name(f"{path.name.split('.')[0]}.forgetting.{suffix}").write_bytes(made)
    about = json.loads((next(iter(folders.values())) / "environment.json").read_text())
    result = {
        "row": row,
        "date": str(datetime.date.today()),
        "machine": machine(about),
        "experiments": runs,
        "results": scored,
        "environment": about,
    }
    if defined.get("draw"):
        result["silhouettes"] = draw(path, folders[""])
    write_text(path, to_json(result))
    print(f"{row} seed {seed}: {path}", flush=True)


def stored_experiments(path: Path) -> dict[str, Experiment]:
    """Return the experiments of a stored result; fields that it lacks have their defaults."""
    runs = json.loads(path.read_text())["experiments"]
    return {name: from_json(Experiment, json.dumps(run), str(path)) for name, run in runs.items()}


def prepare(commands: dict[str, str], runs: list[Experiment], corpora: Path | None) -> bool:
    """Make the data that runs need, in order; return False where it needs ``--corpora``."""
    needed = {run.tokenizer for run in runs}
    needed |= {folder for run in runs for task in run.tasks for folder in task.data}
    for out, command in reversed(commands.items()):  # what a command needs comes before it
        if out in needed:
            needed |= {other for other in commands if other in command}
    missing = [out for out in commands if out in needed and not Path(out).exists()]
    if corpora is None and any("{corpora}" in commands[out] for out in missing):
        return False
    for out in missing:
        run_command(*shlex.split(commands[out].format(out=out, corpora=corpora)))
    return True


def recipe(row: str) -> dict[str, Any]:
    """Return what a row's file defines; one at a time, as it changes the path of imports."""
    with LOCKS["files"]:
        return definitions(HERE / f"{row}.py")


def experiments(defined: dict[str, Any]) -> dict[str, Experiment]:
    """Return the runs of a row by the task that each is scored on; "" is one run for all."""
    return defined.get("experiments") or {"": defined["experiment"]}


def train(name: str, experiment: Experiment) -> Path:
    """Train an experiment, or find a folder in which the same one has been trained."""
    if experiment.start_from is not None and not Path(experiment.start_from, "done").exists():
        row = experiment.start_from.removeprefix("runs/")
        train(row, recipe(row)["experiment"])
    with LOCKS[to_json(experiment)]:
        for stored in sorted(Path("runs").glob("*/*/experiment.json")):
            if (stored.parent / "done").exists() and load(Experiment, stored) == experiment:
                return stored.parent
        folder = Path("runs") / f"{name}{f'.seed{experiment.seed}' if experiment.seed else ''}"
        config = folder.with_name(folder.name + ".json")
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(to_json(experiment))
        taskaware("train", str(config), "--out", str(folder))
        (folder / "done").touch()
    return folder


def scores(folder: Path, selection: str) -> Result:
    """Score a run's test split, and return the row."""
    taskaware("evaluate", str(folder), "--select", selection)
    rows = stored_results(folder)
    return next(row for row in rows if (row.split, row.selection) == ("test", selection))


def draw(path: Path, folder: Path) -> dict[str, Any]:
    """Draw a run's task vectors beside its result; return their silhouettes."""
    taskaware("embed", str(folder))
    for made in sorted(folder.glob("task_embeddings*.*")):
        if made.suffix in (".png", ".svg", ".csv"):
            name = made.name.replace("task_embeddings", path.name.split(".")[0])
            path.with_name(name).write_bytes(made.read_bytes())
    return json.loads((folder / "task_embeddings.json").read_text())


def taskaware(*words: str) -> str:
    """Run a command of the package and return what it printed."""
    return run_command("taskaware", *words)


def run_command(program: str, *words: str) -> str:
    """Run taskaware or Python in a process of its own and return what it printed."""
    print(program, shlex.join(words), flush=True)
    lines = []
    module = ("-m", "taskaware.cli") if program == "taskaware" else ()
    command = [sys.executable, *module, *words]
    # Huge pages take about a fifth off a step on Linux; elsewhere nobody reads the variable.
    env = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"} | os.environ
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        for line in process.stdout or ():
            print("  " + line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        sys.exit(process.returncode)
    return "".join(lines)


def machine(about: dict[str, Any]) -> str:
    """Return what a run was computed on."""
    if about["backend"] == "cpu":
        return f"{about['cpus']} CPU core{'s' * (about['cpus'] > 1)}"
    return f"{len(about['devices'])} × {about['devices'][0]}"


if __name__ == "__main__":
    main()
