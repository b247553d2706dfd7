"""Join recordings of spoken digits into short utterances, with English and German text.

Needs the Free Spoken Digit Dataset as one FLAC per speaker and ``segments.tsv`` (columns speaker,
digit, index, start_sample, n_samples). Its official split is kept: recordings 0-4 of each speaker
and digit are the test, and no other split hears them. Of the others, 45-49 are for validation.

    python experiments/digits/make.py FSDD data/digits-audio
    taskaware prepare manifest data/digits-audio/manifest.tsv --out data/digits --resample
    taskaware vocab --data data/digits --size 60 --out data/digits.model

``--held-out SPEAKER`` leaves a speaker out of train and validation, and the others out of test.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile

ENGLISH = "zero one two three four five six seven eight nine".split()
GERMAN = "null eins zwei drei vier fünf sechs sieben acht neun".split()
UTTERANCES = {"train": 4000, "validation": 100, "test": 400}
RECORDINGS = {"train": range(5, 45), "validation": range(45, 50), "test": range(5)}


def main() -> None:
    """Write one WAV a speaker and split, and ``manifest.tsv`` that names the utterances in them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("fsdd", type=Path, help="folder of segments.tsv and a FLAC a speaker")
    parser.add_argument("out", type=Path)
    parser.add_argument("--held-out", help="speaker who is heard in the test split alone")
    options = parser.parse_args()
    fsdd, out = options.fsdd, options.out
    out.mkdir(parents=True, exist_ok=True)
    with open(fsdd / "segments.tsv", encoding="utf-8") as file:
        segments = list(csv.DictReader(file, delimiter="\t"))
    speakers = sorted({segment["speaker"] for segment in segments} & _recorded(fsdd))
    if options.held_out not in (None, *speakers):
        parser.error(f"--held-out: expected one of {', '.join(speakers)}")
    rows = []
    for speaker in speakers:
        samples, rate = soundfile.read(fsdd / f"{speaker}.flac", dtype="int16")
        spans = {
            (int(s["digit"]), int(s["index"])): (int(s["start_sample"]), int(s["n_samples"]))
            for s in segments
            if s["speaker"] == speaker
        }
        for number, split in enumerate(UTTERANCES):
            if options.held_out and (split == "test") != (speaker == options.held_out):
                continue
            random = np.random.default_rng([number, speakers.index(speaker)])
            rows += _utterances(samples, rate, spans, speaker, split, random, len(speakers), out)
    with open(out / "manifest.tsv", "w", encoding="utf-8") as file:
        file.writelines("\t".join(map(str, row)) + "\n" for row in [_HEADER, *rows])
    print(f"{out}/manifest.tsv: {len(rows)} utterances of {', '.join(speakers)}")


_HEADER = (
    "id audio start duration speaker source_text target_text source_language target_language split"
).split()


def _recorded(fsdd: Path) -> set[str]:
    return {path.stem for path in fsdd.glob("*.flac")}


def _utterances(samples, rate, spans, speaker, split, random, num_speakers, out):
    pieces, rows, start = [], [], 0
    for number in range(UTTERANCES[split] // num_speakers):
        digits = random.integers(10, size=random.integers(2, 5))
        for digit in digits:
            begin, length = spans[int(digit), int(random.choice(RECORDINGS[split]))]
            pieces.append(samples[begin : begin + length])
        length = sum(len(piece) for piece in pieces[-len(digits) :])
        name = f"{speaker}.{split}"
        seconds = (start / rate, length / rate)
        text = [" ".join(words[digit] for digit in digits) for words in (ENGLISH, GERMAN)]
        rows.append(
            (f"{name}.{number}", f"{name}.wav", *seconds, speaker, *text, "en", "de", split)
        )
        start += length
    soundfile.write(out / f"{speaker}.{split}.wav", np.concatenate(pieces), rate)
    return rows


if __name__ == "__main__":
    main()
