"""What these rows share: spoken digits by three speakers, tested on a fourth whom nobody heard.

Real recordings (``experiments/digits/``), 8 kHz in the original; the same model and steps for all,
and for those that augment as many changed copies as originals. ST, ASR and MT in one implicit
model; both of the first are scored by WER, as German digits are a word each.
"""

from dataclasses import replace
from pathlib import Path

from taskaware.config import Experiment
from taskaware.config.file import definitions

SPEAKER = "lucas"
PLAIN = "data/digits_unseen"
_OFF = {"--speed": "1 1", "--tempo": "1 1", "--echo-decay": "0 0"}


def _augmented(**on: str) -> str:
    options = _OFF | {f"--{name.replace('_', '-')}": values for name, values in on.items()}
    words = " ".join(f"{name} {values}" for name, values in options.items())
    return f"taskaware prepare augmented {PLAIN} --copies 1 {words} --out {{out}}"


data = {
    "data/digits_unseen-audio": (
        f"python experiments/digits/make.py {{corpora}}/fsdd {{out}} --held-out {SPEAKER}"
    ),
    PLAIN: (
        "taskaware prepare manifest data/digits_unseen-audio/manifest.tsv --resample --out {out}"
    ),
    "data/digits_unseen.model": f"taskaware vocab --data {PLAIN} --size 60 --out {{out}}",
    "data/digits_unseen_echo": _augmented(echo_decay="0.05 0.2"),
    "data/digits_unseen_noise": _augmented(snr="5 20"),
    "data/digits_unseen_pitch": _augmented(speed="0.8 1.25", tempo="0.85 1.3"),
}
"""What it needs, and the command that makes it."""

_known = definitions(Path(__file__).parents[1] / "digits" / "base.py")["base"]
_st, _asr, _mt = (replace(task, data=(PLAIN,)) for task in _known.tasks)
base: Experiment = replace(
    _known, tasks=(_st, _asr, _mt), tokenizer="data/digits_unseen.model", steps=900, save_every=300
)


def beside(folder: str) -> Experiment:
    """Return the experiment whose speech tasks hear another folder too."""
    spoken = (replace(task, data=(PLAIN, folder)) for task in (_st, _asr))
    return replace(base, tasks=(*spoken, _mt))
