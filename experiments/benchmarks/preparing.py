"""How fast corpora are read: FLAC to records, log-mel features, MuST-C's YAML, text filters.

    python experiments/benchmarks/preparing.py [LIBRISPEECH]

``LIBRISPEECH`` is a folder of that corpus, such as one of its small subsets; its utterances are
read again and again until there is an hour of speech. Without it, noise with the loudness of
speech is used, which FLAC packs worse. All else is made here, in a temporary folder.

Obtained (two CPU cores, LibriSpeech's own FLAC, 2026-11-21): FLAC to records at 1,247 × real time
with one process and 1,115 with two, which an hour of speech is too little to feed; MuST-C's
segments in 13.5 s and 0.52 GiB; text filters on 189,812 pairs/s on one core. On two slower ones,
2026-11-29: 996 and 711 × real time, 26.6 s and 0.52 GiB, 98,177 pairs/s; log-mel at 5.5 times the
throughput of kaldi-native-fbank.
"""

import functools
import itertools
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from taskaware.data.audio.features import SAMPLE_RATE, log_mel
from taskaware.data.corpora.base import Row
from taskaware.data.corpora.filtered import Filtered, text_reason
from taskaware.data.corpora.segments import Segment, as_splits
from taskaware.data.corpora.write import prepare

HOUR, ROUNDS = 3600.0, 5


def main(librispeech: Path | None) -> None:
    """Print each figure beside its goal."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = _flac_files(librispeech, folder)
        preparing(files, folder)
        features(files)
        yaml(folder)
        filters()


def _flac_files(librispeech: Path | None, folder: Path) -> list[Path]:
    if librispeech is not None:
        return sorted(librispeech.rglob("*.flac"))
    files = []
    for i in range(40):
        samples = np.random.default_rng(i).normal(0, 500, round((8 + i / 4) * SAMPLE_RATE))
        files.append(folder / f"{i}.flac")
        soundfile.write(files[-1], samples.astype(np.int16), SAMPLE_RATE)
    return files


def preparing(files: list[Path], folder: Path) -> None:
    """Decode and store an hour of FLAC on all cores."""
    lengths = [soundfile.info(file).duration for file in files]
    copies = int(HOUR / sum(lengths)) + 1
    segments = [
        Segment(f"{file}", f"{i}-{copy}", str(file), 0.0, None, "", "a text", "", "en", "")
        for copy in range(copies)
        for i, file in enumerate(files)
    ]
    for workers in (1, os.cpu_count() or 1):
        since = time.perf_counter()
        read = functools.partial(as_splits, {"train": segments}, "librispeech", strict=True)
        prepare("librispeech", read, folder / f"out{workers}", workers=workers)
        took = time.perf_counter() - since
        speed = copies * sum(lengths) / took
        print(f"preparing FLAC, {workers} process(es): {speed:,.0f} × real time (goal 300 on 2)")


def features(files: list[Path]) -> None:
    """Compare log-mel with kaldi-native-fbank on one core, in turns."""
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    audio = [soundfile.read(file, dtype="int16")[0] for file in files[:20]]

    def peer() -> None:
        for samples in audio:
            computer = kaldi_native_fbank.OnlineFbank(options)
            computer.accept_waveform(SAMPLE_RATE, samples.astype(np.float32))
            computer.input_finished()
            for i in range(computer.num_frames_ready):
                computer.get_frame(i)

    def own() -> None:
        for samples in audio:
            log_mel(samples)

    ratios = []
    for _ in range(ROUNDS):
        a, b = (_seconds(run) for run in (peer, own))
        ratios.append(a / b)
    print(f"log-mel: {statistics.median(ratios):.1f} × kaldi-native-fbank's throughput (goal 5)")


def _seconds(run) -> float:
    since = time.process_time()
    run()
    return time.process_time() - since


def yaml(folder: Path) -> None:
    """Read 230,000 lines as MuST-C's train split has them."""
    from taskaware.data.corpora.mustc import MuSTC

    root = folder / "mustc"
    texts = root / "en-de" / "data" / "train" / "txt"
    texts.mkdir(parents=True)
    (texts.parent / "wav").mkdir()
    with open(texts / "train.yaml", "w", encoding="utf-8") as file:
        file.writelines(_yaml_lines(230_000))
    for talk in range(2300):
        (texts.parent / "wav" / f"ted_{talk}.wav").touch()
    for language in ("en", "de"):
        lines = (f"Line {i} of the talk, in {language}.\n" for i in range(230_000))
        (texts / f"train.{language}").write_text("".join(lines), encoding="utf-8")
    since = time.perf_counter()
    shards = MuSTC(root).splits(strict=True)["train"]
    took = time.perf_counter() - since
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"MuST-C's 230,000 segments in {len(shards)} shards: {took:.1f} s (goal 60),"
        f" {memory:.2f} GiB at most in the whole benchmark (goal 1)"
    )


def _yaml_lines(count: int) -> Iterator[str]:
    for i in range(count):
        talk, line = divmod(i, 100)
        yield (
            f"- {{duration: 3.500000, offset: {16.08 + 5 * line:.6f}, rW: 9, uW: 0,"
            f" speaker_id: spk.{talk}, wav: ted_{talk}.wav}}\n"
        )


def filters() -> None:
    """Ask every rule for text, but for the language, about sentences of some twenty words."""
    rules = Filtered(Path(), machine=True, max_ratio=3.0)
    words = [f"word{i}" for i in range(500)]
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, 20)).capitalize() + "." for _ in range(2000)]
    pairs = itertools.pairwise(texts)
    rows = [Row("1", 0, "", text, other, "en", "de", "c") for text, other in pairs]
    speeds = []
    for _ in range(ROUNDS):
        since = time.process_time()
        for row in rows * 10:
            text_reason(row, rules, written=True)
        speeds.append(10 * len(rows) / (time.process_time() - since))
    speed = statistics.median(speeds)
    print(f"text filters: {speed:,.0f} pairs/s on one core (goal 200,000 on two)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
