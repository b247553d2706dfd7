"""The log of a run's training: a bar, a JSONL file, TensorBoard."""

import json
from pathlib import Path
from typing import Any

from taskaware.files.whole import write_text
from taskaware.runs.console import Counter, console, eta, say
from taskaware.training.loop import Progress


class RunLog:
    """A progress bar, ``metrics.jsonl`` and TensorBoard events of a training run.

    Args:
        folder: of the run.
        name: shown on the bar.
        first: the step that the run goes on from; log lines of later steps are dropped.
        total: the last step.
    """

    def __init__(self, folder: Path, name: str, first: int, total: int):
        from tensorboardX import SummaryWriter  # with it comes PyTorch, where that is installed

        self._path = folder / "metrics.jsonl"
        _keep_until(self._path, first)
        self._file = self._path.open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder), flush_secs=30)
        self._counter = Counter(name, total)

    def __enter__(self) -> "RunLog":
        """Show the bar."""
        self._counter.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close bar and files."""
        self._counter.__exit__()
        self._file.close()
        self._board.close()

    def progress(self, at: Progress) -> None:
        """Log the averages since the last report."""
        self._write(at.step, at._asdict())
        for task, loss in at.loss.items():
            self._board.add_scalar(f"loss/{task}", loss, at.step)
        for name in ("tokens_per_second", "audio_seconds_per_second", "gradient_norm", "rms"):
            self._board.add_scalar(name, getattr(at, name), at.step)
        self._board.add_scalar("participation", at.participation, at.step)
        losses = " ".join(f"{task} {loss:.3f}" for task, loss in at.loss.items())
        speed = f"{at.tokens_per_second:,.0f} tokens/s {at.audio_seconds_per_second:,.0f} audio-s/s"
        if at.skipped:
            losses += f" skipped {at.skipped}"
        text = f"{at.step}/{at.total} {losses} {speed}"
        if console.is_terminal:
            self._counter(at.step, text)
        else:
            self._counter(at.step, f"{losses} {speed} ETA {eta(at)}", line=True)

    def scores(self, step: int, scores: dict[str, float]) -> None:
        """Log validation losses by name."""
        self._write(step, {"step": step, **scores})
        for name, value in scores.items():
            self._board.add_scalar(name, value, step)
        say(f"step {step}  " + " ".join(f"{name} {value:.3f}" for name, value in scores.items()))

    def _write(self, step: int, values: dict[str, Any]) -> None:
        self._file.write(json.dumps({**values, "step": step}) + "\n")
        self._file.flush()


def _keep_until(path: Path, step: int) -> None:
    """Drop lines that an interrupted run wrote after the step it goes on from."""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        write_text(path, "".join(line + "\n" for line in lines if _step_of(line) <= step))


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):
        return float("inf")  # half a line
