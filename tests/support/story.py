"""The story of a small run."""

import signal
from pathlib import Path
from typing import NamedTuple

import pytest

from support.command_line import Outcome, taskaware


class Story(NamedTuple):
    """A run that was interrupted, finished and trained again, and what the command said."""

    run: Path
    interrupted: Outcome
    trained: Outcome
    trained_again: Outcome
    files_before: dict[str, bytes]


def checkpoint_files(run):
    """What training leaves, but for its clock and the scalars that TensorBoard reads."""
    kept = [path for path in (run / "checkpoints").rglob("*") if path.is_file()]
    kept += [run / "metrics.jsonl", run / "experiment.json", run / "tokenizer.model"]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in kept}


def tell(given):
    """Interrupt a run after three of its four steps, go on to the end, and train once more."""
    run = given.folder / "run"
    train = ["train", given.experiment, "--out", run]
    with pytest.MonkeyPatch.context() as patch:
        from taskaware.runs import trainer

        place, placed = trainer.place_batch, []

        def place_and_be_interrupted(*args):
            placed.append(args)
            if len(placed) == 3:
                signal.raise_signal(signal.SIGINT)
            return place(*args)

        patch.setattr(trainer, "place_batch", place_and_be_interrupted)
        interrupted = taskaware(*train)
    trained = taskaware(*train)
    assert trained.code == 0, trained.err
    files_before = checkpoint_files(run)
    return Story(run, interrupted, trained, taskaware(*train), files_before)
