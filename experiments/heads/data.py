"""Prepare real recordings and texts that have labels, for tasks with heads of every kind.

    python experiments/heads/data.py DATA OUT

For each folder that is in DATA this writes the table OUT/NAME.tsv and prepares OUT/NAME. Names
after OUT choose some. ``--fold`` 0 to 4 says which fifth is the test where a set has no official
one; the next fifth is for validation.

fsdd
    Free Spoken Digit Dataset (github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0): one
    FLAC a speaker, 8 kHz, and segments.tsv. Labels digit, speaker. Takes 0-4 are the test, as
    officially, and 45-49 for validation, so all speakers are in all splits.
slurp_text
    SLURP (github.com/pswietojanski/slurp, CC BY 4.0), the text of devel and test: devel.tsv.gz,
    test.tsv.gz. Labels intent (SCENARIO_ACTION), slots (BIO tags). Every tenth sentence of devel is
    for validation, the others of it for training.
emodb
    Berlin Database of Emotional Speech (CC0), here emodb_2s: clips cut at 2 s, clips.tsv,
    phones.tsv. Labels emotion, speaker, sentence, phones. A clip that was cut has no transcript. No
    speaker of a split is in another: a fold is a man and a woman.
emodb_sentences
    The same clips; no sentence of a split is in another, all speakers are in all.
barista
    Picovoice's speech-to-intent-benchmark (github.com, Apache 2.0): orders without transcripts,
    labels.tsv. A label for each of six slots; "none" where the order does not fill it. Who speaks
    is unknown, so splits may share speakers.
wake_words
    Picovoice's wake-word-benchmark (github.com, Apache 2.0), labels.tsv. Label word, which is the
    transcript too. Who speaks is unknown, so splits may share speakers.
librispeech
    Mini LibriSpeech train-clean-5 (openslr.org/31, CC BY 4.0), here librispeech_12s, its utterances
    of up to 12 s; librispeech_tasks has the splits, in which speakers of 5 and more utterances are
    in all, and pronunciations of CMUdict. Labels speaker, and phones where all words have one.
"""

import argparse
import csv
import gzip
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from taskaware.data.corpora.manifest import Manifest
from taskaware.data.corpora.write import prepare_corpus
from taskaware.errors import UsageError

Row = Mapping[str, object]
_HEADER = (
    "id audio start duration speaker source_text target_text source_language target_language split"
).split()
_FOLDS = 5
_SLOTS = ("coffeeDrink", "roast", "size", "numberOfShots", "milkAmount", "sugarAmount")


def main() -> None:
    """Write tables and prepare them."""
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(description=lines[0])
    parser.add_argument("data", type=Path, help="the folder of all sets")
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(SETS)}; by default all")
    parser.add_argument("--fold", type=int, choices=range(_FOLDS), default=0)
    options = parser.parse_args()
    for name in options.names:
        if name not in SETS:
            parser.error(f"expected some of {', '.join(SETS)}, found {name}")
    for name in options.names or SETS:
        folders, read = SETS[name]
        missing = [str(path) for path in map(options.data.joinpath, folders) if not path.is_dir()]
        if missing:
            print(f"{name}: left out, no folder {' and '.join(missing)}")
        else:
            make(name, options.data / folders[0], options.out, read(options.data, options.fold))


def make(name: str, folder: Path, out: Path, rows: Iterable[Row]) -> None:
    """Write a table of rows, whose further columns are labels, and prepare it."""
    rows = [*rows]
    labels = tuple(dict.fromkeys(column for row in rows for column in row))
    labels = tuple(column for column in labels if column not in _HEADER or column == "speaker")
    columns = dict.fromkeys((*_HEADER, *labels))
    out.mkdir(parents=True, exist_ok=True)
    table = out / f"{name}.tsv"
    with open(table, "w", encoding="utf-8", newline="\n") as file:
        for fields in [columns, *([row.get(column, "") for column in columns] for row in rows)]:
            file.write("\t".join(map(str, fields)) + "\n")
    corpus = Manifest(table, audio_root=folder, resample=True, quotes="keep", labels=labels)
    prepare_corpus(corpus, out / name)
    print(f"{out / name}: {len(rows)} examples with {', '.join(labels)}")


def _fsdd(data: Path, fold: int) -> Iterator[Row]:
    for row in _table(data / "fsdd/segments.tsv"):
        if (data / "fsdd" / f"{row['speaker']}.flac").is_file():
            take = int(row["index"])
            yield {
                "id": f"{row['speaker']}-{row['digit']}-{take}",
                "audio": f"{row['speaker']}.flac",
                "start": int(row["start_sample"]) / 8000,
                "duration": int(row["n_samples"]) / 8000,
                "source_text": "zero one two three four five six seven eight nine".split()[
                    int(row["digit"])
                ],
                "source_language": "en",
                "split": "test" if take < 5 else "train" if take < 45 else "validation",
                "digit": row["digit"],
                "speaker": row["speaker"],
            }


def _slurp(data: Path, fold: int) -> Iterator[Row]:
    for name in ("devel", "test"):
        for number, row in enumerate(_table(data / "slurp_text" / f"{name}.tsv.gz")):
            yield {
                "id": row["id"],
                "source_text": row["tokens"],
                "source_language": "en",
                "split": "test" if name == "test" else "train" if number % 10 else "validation",
                "intent": f"{row['scenario']}_{row['action']}",
                "slots": row["bio"],
            }


def _emodb(key: Callable[[Mapping[str, str]], str]) -> Callable[[Path, int], Iterator[Row]]:
    """Return a reader of EmoDB in which what ``key`` says of a clip decides on its split."""

    def read(data: Path, fold: int) -> Iterator[Row]:
        clips = _table(data / "emodb_2s/clips.tsv")
        of = _fold_of(clips, key)
        segments = itertools.groupby(_table(data / "emodb_2s/phones.tsv"), lambda row: row["id"])
        phones = {id: german_phones(row["phone"] for row in rows) for id, rows in segments}
        for clip in clips:
            yield {
                "id": clip["id"],
                "audio": f"audio/{clip['id']}.opus",
                "source_text": "" if clip["cut_at_2s"] == "1" else clip["text"],
                "source_language": "de",
                "split": _split(of[key(clip)], fold),
                "emotion": clip["emotion"],
                "speaker": clip["speaker"],
                "sentence": clip["sentence"],
                "phones": phones.get(clip["id"], ""),
            }

    return read


def _fold_of(
    clips: Sequence[Mapping[str, str]], key: Callable[[Mapping[str, str]], str]
) -> dict[str, int]:
    """Return the fold of each value of a key, so that folds have men and women alike."""
    values = sorted({(clip["sex"], key(clip)) for clip in clips})
    men, women = ([value for sex, value in values if sex == which] for which in "mf")
    return {value: i % _FOLDS for some in (men, women) for i, value in enumerate(some)}


def german_phones(labels: Iterable[str]) -> str:
    """Return the phones of EmoDB's labels, separated by spaces.

    Closure, burst (!t) and aspiration (tasp) are one plosive, and marks of voice quality (-lar,
    +hoe) and boundaries are no phones.

    Example:
        >>> german_phones(["_t", "!t", "tasp", "E6", "+hoe", "d+nas", "."])
        't E6 d'
    """
    phones: list[str] = []
    for label in labels:
        phone = re.split(r"[+-]", label)[0].lstrip("_!").removesuffix("asp")
        if re.fullmatch(r"[A-Za-z0-9@?]{1,2}", phone) and phones[-1:] != [phone]:
            phones.append(phone)
    return " ".join(phones)


def _barista(data: Path, fold: int) -> Iterator[Row]:
    for number, row in enumerate(_table(data / "barista/labels.tsv")):
        slots = json.loads(row["slots"])
        yield {
            "id": row["id"],
            "audio": f"audio/{row['id']}.opus",
            "source_language": "en",
            "split": _split(number % _FOLDS, fold),
            **{slot: slots.get(slot, "none") for slot in _SLOTS},
        }


def _wake_words(data: Path, fold: int) -> Iterator[Row]:
    rows = sorted(_table(data / "wake_words/labels.tsv"), key=lambda row: row["keyword"])
    for word, clips in itertools.groupby(rows, lambda row: row["keyword"]):
        for number, clip in enumerate(clips):
            yield {
                "id": clip["id"],
                "audio": f"audio/{clip['id']}.opus",
                "source_text": word,
                "source_language": "en",
                "split": _split(number % _FOLDS, fold),
                "word": word,
            }


def _librispeech(data: Path, fold: int) -> Iterator[Row]:
    root = data / "librispeech_12s"
    splits = {row["id"]: row for row in _table(data / "librispeech_tasks/speaker_split.tsv")}
    lexicon = dict(
        line.rstrip("\n").split("\t") for line in _open(data / "librispeech_tasks/lexicon.tsv")
    )
    names = {"train": "train", "dev": "validation", "test": "test"}
    for table in sorted(root.glob("LibriSpeech/*/*/*/*.trans.txt")):
        for line in _open(table):
            id, _, text = line.strip().partition(" ")
            words = text.split()
            covered = all(word in lexicon for word in words)
            yield {
                "id": id,
                "audio": (table.parent / f"{id}.opus").relative_to(root).as_posix(),
                "source_text": text.lower(),
                "source_language": "en",
                "split": names[splits[id]["split"]],
                "speaker": splits[id]["speaker"],
                "phones": " ".join(lexicon[word] for word in words) if covered else "",
            }


def _split(number: int, fold: int) -> str:
    return {0: "test", 1: "validation"}.get((number - fold) % _FOLDS, "train")


def _table(path: Path) -> list[dict[str, str]]:
    return [*csv.DictReader(_open(path), delimiter="\t", quoting=csv.QUOTE_NONE)]


def _open(path: Path) -> Iterator[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="\n") as file:
        yield from file


SETS: dict[str, tuple[tuple[str, ...], Callable[[Path, int], Iterable[Row]]]] = {
    "fsdd": (("fsdd",), _fsdd),
    "slurp_text": (("slurp_text",), _slurp),
    "emodb": (("emodb_2s",), _emodb(lambda clip: clip["speaker"])),
    "emodb_sentences": (("emodb_2s",), _emodb(lambda clip: clip["sentence"])),
    "barista": (("barista",), _barista),
    "wake_words": (("wake_words",), _wake_words),
    "librispeech": (("librispeech_12s", "librispeech_tasks"), _librispeech),
}
"""The folders in DATA of each set, that of its audio first, and what reads its rows."""


if __name__ == "__main__":
    try:
        main()
    except UsageError as error:
        sys.exit(str(error))
