"""What heads cost: a step with six heads, and CTC beside a decoder, beside the decoder alone.

    python experiments/benchmarks/heads.py

Random rows of one recording's shape, one tokenizer of 8,000 tokens, a model of 6 + 6 blocks of
width 256. "six heads" has 48 rows of speech and text over the decoder, CTC, two labels, tags and
frames; "decoder" has the same rows and the decoder alone. "joint" has 16 rows of speech whose
decoder has CTC beside it, and "alone" the same without. FLOPs are XLA's, of the compiled step;
steps take turns, and a ratio is the median of ten. Writes ``results/benchmarks/heads.json``.
"""

import datetime
import statistics
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from maml import in_turns, ratio

from taskaware.config import ModelConfig, OptimizerConfig, Task
from taskaware.config.wiring import Inventory
from taskaware.devices.machine import cpu_count
from taskaware.dims import Batch, FrameLabels, Label, Rows, Speech, Tags, Target, Text, Tokens
from taskaware.files.whole import write_json
from taskaware.models.building import build_for
from taskaware.training.compiling import compiler_options
from taskaware.training.joint import Step, joint_step
from taskaware.training.objective import Objective
from taskaware.training.optimizer import make_optimizer
from taskaware.training.state import TrainState, initial_state

sys.path.insert(0, str(Path(__file__).parents[1]))
from reproduce import RESULTS

VOCABULARY, FRAMES, SOURCE, TARGET, LABELS = 8000, 480, 40, 40, 12
MODEL = ModelConfig(
    d_model=256,
    num_heads=4,
    d_ff=1024,
    encoder_layers=6,
    decoder_layers=6,
    dropout=0.0,
    conditioning="explicit",
)
SIX = (
    Task(name="asr", source="speech", target="transcript"),
    Task(name="ctc", source="speech", target="transcript", head="ctc"),
    Task(name="intent", source="speech", target="label", column="intent"),
    Task(name="speaker", source="speech", target="label", column="speaker"),
    Task(name="slots", source="text", target="tags", column="slots"),
    Task(name="pauses", source="speech", target="frames", column="pauses"),
)
INVENTORY = Inventory(values=tuple(f"label{i:02}" for i in range(LABELS)))


def main() -> None:
    """Measure, print and store."""
    decoder = tuple(Task(name=task.name, source=task.source, target="transcript") for task in SIX)
    asr = SIX[0]
    joint = Task(name="asr", source="speech", target="transcript", ctc_weight=0.3)
    works = {"decoder": (decoder, 8), "six heads": (SIX, 8)}
    works |= {"alone": ((asr,), 16), "joint": ((joint,), 16)}
    steps = {name: step_of(tasks, rows) for name, (tasks, rows) in works.items()}
    flops = {name: _flops(*step) for name, step in steps.items()}
    seconds = in_turns(steps)
    about: dict[str, Any] = {"date": str(datetime.date.today()), "cpus": cpu_count()}
    about["device"] = jax.devices()[0].device_kind
    for more, less in (("six heads", "decoder"), ("joint", "alone")):
        about[f"{more} / {less}"] = {
            "time": round(ratio(seconds[more], seconds[less]), 3),
            "flops": round(flops[more] / flops[less], 3),
            "ms": round(1000 * statistics.median(seconds[less]), 1),
        }
        print(f"{more} / {less}: {about[f'{more} / {less}']}")
    write_json(RESULTS / "benchmarks" / "heads.json", about)


def step_of(tasks: tuple[Task, ...], rows: int) -> tuple[Step, TrainState, Batch]:
    """Return the training step of some tasks, where it begins, and a batch."""
    names = [task.head or task.column for task in tasks]
    inventories = {name: INVENTORY for name in names if name not in ("", "ctc")}
    model = build_for(tasks, MODEL, VOCABULARY, inventories, seed=0)
    optimizer = make_optimizer(OptimizerConfig(), MODEL.d_model)
    weights = tuple(task.ctc_weight for task in tasks)
    how = Objective(0.1, ctc_weights=weights if any(weights) else None)
    step = joint_step(nnx.graphdef(model), optimizer, how)
    random = np.random.default_rng(0)
    batch = {task.name: _rows(task, rows, random) for task in tasks}
    return step, initial_state(nnx.state(model), optimizer, 0), batch


def _rows(task: Task, rows: int, random: np.random.Generator) -> Rows:
    source = Text(random.integers(3, VOCABULARY, (rows, SOURCE)).astype(np.int32))
    if task.source == "speech":
        frames_BAC = random.standard_normal((rows, FRAMES, 80), np.float32)
        source = Speech(frames_BAC, np.full(rows, FRAMES, np.int32))
    return Rows(source, _target(task, rows, random), np.ones(rows, bool))


def _target(task: Task, rows: int, random: np.random.Generator) -> Target:
    match task.target:
        case "label":
            return Label(random.integers(1, LABELS, rows).astype(np.int32))
        case "tags":
            return Tags(random.integers(0, LABELS, (rows, SOURCE)).astype(np.int32))
        case "frames":
            holds_BAN = random.integers(0, 2, (rows, FRAMES, LABELS)).astype(bool)
            return FrameLabels(holds_BAN, np.full(rows, FRAMES, np.int32))
        case _:
            length = TARGET // 2 if task.head == "ctc" or task.ctc_weight else TARGET
            tokens_BT = np.zeros((rows, TARGET), np.int32)
            tokens_BT[:, :length] = random.integers(3, VOCABULARY, (rows, length))
            return Tokens(tokens_BT)


def _flops(step: Step, state: TrainState, batch: Batch) -> float:
    compiled = jax.jit(step, compiler_options=compiler_options()).lower(state, batch).compile()
    return float(compiled.cost_analysis()["flops"])


if __name__ == "__main__":
    main()
