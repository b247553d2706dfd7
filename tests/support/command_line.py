"""Commands run from Python, and a small corpus to run them on."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from taskaware import cli
from taskaware.config import (
    Batching,
    Decoding,
    Experiment,
    ModelConfig,
    OptimizerConfig,
    Task,
    TCNConfig,
)
from taskaware.files.strict_json import to_json

ROOT = Path(__file__).parents[2]
ENGLISH = "zero one two three four five".split()
GERMAN = "null eins zwei drei vier fünf".split()
HEADER = (
    "id audio start duration speaker source_text target_text source_language target_language split"
).split()


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def taskaware(*argv) -> Outcome:
    """What a command does, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.run([str(word) for word in argv])
    return Outcome(code, out.getvalue(), err.getvalue())


def fresh(*argv, before="") -> Outcome:
    """What a command does in a process of its own, which ends by telling its modules."""
    code = (
        f"import sys\n{before}\nfrom taskaware import cli\n"
        "try:\n    cli.main()\n"
        "finally:\n    print('MODULES', *sys.modules)"
    )
    words = [sys.executable, "-c", code, *map(str, argv)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def refused(outcome, *, code=2):
    """The message of a command that ended with one line."""
    assert outcome.code == code
    assert outcome.err.startswith("taskaware: ")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("taskaware: ").removesuffix("\n")


def write_manifest(folder):
    """Sixteen spoken noises of two words each: eight to train on, four to test, four to choose."""
    rows = [HEADER]
    for i in range(16):
        samples = np.random.default_rng(i).integers(-3000, 3000, 2000 + 100 * i)
        soundfile.write(folder / f"{i}.wav", samples.astype(np.int16), 16000)
        texts = [f"{words[i % 6]} {words[(5 * i + 1) % 6]}" for words in (ENGLISH, GERMAN)]
        split = ("train", "train", "test", "validation")[i // 4]
        rows.append([f"u{i}", f"{i}.wav", "", "", "", *texts, "en", "de", split])
    (folder / "table.tsv").write_text("".join("\t".join(row) + "\n" for row in rows))
    return folder / "table.tsv"


def tiny(folder):
    """Three tasks, a model of 7,256 numbers, four steps."""
    data = (str(folder / "corpus"),)
    return Experiment(
        tasks=(
            Task(name="st", source="speech", target="translation", metric="bleu", data=data),
            Task(name="asr", source="speech", target="transcript", metric="wer", data=data),
            Task(name="mt", source="text", target="translation", metric="bleu", data=data),
        ),
        tokenizer=str(folder / "tokenizer.model"),
        model=ModelConfig(
            d_model=16,
            num_heads=2,
            d_ff=16,
            encoder_layers=1,
            decoder_layers=1,
            cnn_channels=(2, 2, 2),
            tcn=TCNConfig(width=8, d_ff=8, num_heads=2),
        ),
        batching=Batching(size=2, buckets=1),
        optimizer=OptimizerConfig(warmup_steps=4),
        decoding=Decoding(beam_size=2, extra_length=2, examples=2),
        steps=4,
        log_every=2,
        save_every=2,
        mesh_data=1,
    )


class Given(NamedTuple):
    """A folder in which all is ready for training, and what the commands said."""

    folder: Path
    experiment: Path
    prepared: Outcome
    vocab: Outcome


def get_ready(folder) -> Given:
    """Prepare a corpus, learn a vocabulary and write an experiment."""
    table, experiment = write_manifest(folder), folder / "tiny.json"
    experiment.write_text(to_json(tiny(folder)))
    corpus, tokenizer = folder / "corpus", folder / "tokenizer.model"
    # Processes that write beside this one would only import everything again.
    prepared = taskaware("prepare", "manifest", table, "--out", corpus, "--workers", 1)
    vocab = taskaware("vocab", "--data", corpus, "--out", tokenizer, "--size", 40)
    return Given(folder, experiment, prepared, vocab)
