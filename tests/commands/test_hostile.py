"""Files made by somebody who means harm, each fed to the command that reads it.

What they try: to have code run, to reach files outside of their folder, to take memory or time
without end, to write to the terminal. Each is refused in one line.
"""

import gzip
import io
import json
import multiprocessing
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
from support import watched
from support.command_line import HEADER, Outcome, get_ready, refused, tiny

from taskaware.data.corpora.base import sha256
from taskaware.files.strict_json import to_json

HUGE = 5 * 2**30
"""Bytes of a file that is stored in none: more than may be taken."""


class Attack(NamedTuple):
    files: dict[str, Any]
    """By their path beside a good corpus: their bytes, or what makes or changes them."""
    argv: str
    expected: str
    """In the one line that refuses them; a pattern is not needed."""


class Payload:
    """Unpickled, it runs."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


PICKLE = pickle.dumps(Payload())
CODE = b"import os\nos.mkdir('ran')\n"


def sparse(path):
    path.touch()
    os.truncate(path, HUGE)


def link(target):
    return lambda path: path.symlink_to(target)


def object_array():
    file = io.BytesIO()
    np.save(file, np.array([Payload()], object), allow_pickle=True)
    return file.getvalue()


# Experiments.


def experiment(**changes):
    return {**json.loads(to_json(tiny(Path()))), **changes}


def train(content, expected):
    if isinstance(content, dict):
        content = json.dumps(content).encode()
    return Attack({"e.json": content}, "train e.json --out run", expected)


TASK = experiment()["tasks"][0]
NESTED = b'{"steps": ' + b"[" * 900 + b"]" * 900 + b"}"

EXPERIMENTS = {
    "Python": train(CODE, "not valid JSON"),
    "a pickle": train(PICKLE, "cannot read the configuration"),
    "YAML with a call": train(b"!!python/object/apply:os.mkdir [ran]", "not valid JSON"),
    "a class to make": train(
        experiment(_target_="hostile.Payload", _args_=["ran"]), "unknown key '_target_'"
    ),
    "another module": train(experiment(tasks={"py/object": "hostile.Payload"}), "expected a list"),
    "brackets without end": train(b"[" * 10**6, "not valid JSON"),
    "brackets as deep as JSON goes": train(NESTED, "e.json"),
    "a key twice": train(b'{"steps": 1, "steps": 2}', "key 'steps' stands twice"),
    "a hundred thousand keys": train(
        b"{" + b",".join(b'"%x":1' % i for i in range(100_000)) + b"}", "unknown key '0'"
    ),
    "no number": train(experiment(optimizer={"learning_rate": float("nan")}), "expected positive"),
    "a number of 5,000 digits": train(b'{"steps": 1' + b"0" * 5000 + b"}", "not valid JSON"),
    "a number of 4,000 digits": train(experiment(seed=10**4000), "expected an int of 64 bits"),
    "five gigabytes": train(sparse, "more than 16,777,216 bytes"),
    "a device": train(link("/dev/zero"), "more than 16,777,216 bytes"),
    "UTF-16": train('{"steps": 1}'.encode("utf-16"), "cannot read the configuration"),
    "a NUL in a path": train(experiment(tokenizer="a\0b"), "expected text without control"),
    "a path that is no text": train(experiment(tokenizer="\ud800"), "expected text without contr"),
    "a second line": train(experiment(tokenizer="a\ntaskaware: done"), "expected text without co"),
    "a command to the terminal": train({"\x1b]0;owned\x07": 1}, "unknown key '\\x1b]0;owned\\x07'"),
    "a message without end": train({"x" * 10**6: 1}, "unknown key 'xxx"),
    "a name that is a path": train(
        experiment(tasks=[TASK | {"name": "../../ran"}]), "Task.name: expected a word"
    ),
    "a run folder of code": Attack(
        {"run/experiment.json": CODE, "run/experiment.py": CODE}, "evaluate run", "not valid JSON"
    ),
}

# Tokenizers.


def tokenizer(content, expected):
    files = {"t.model": content, "e.json": json.dumps(experiment(tokenizer="t.model")).encode()}
    return Attack(files, "train e.json --out run", expected)


TOKENIZERS = {
    "a pickle": tokenizer(PICKLE, "expected a SentencePiece model"),
    "zeros": tokenizer(bytes(10**6), "expected a SentencePiece model"),
    "lengths that lie": tokenizer(
        b"\x0a\xff\xff\xff\xff\x0f" * 9, "expected a SentencePiece model"
    ),
    "five gigabytes": tokenizer(sparse, "expected a SentencePiece model"),
    "a device": tokenizer(link("/dev/zero"), "expected a SentencePiece model"),
}

# Prepared folders.


def corpus(name, content, expected, argv="check corpus"):
    """A file of a prepared folder; it has the digest that the folder tells, unless it is that."""

    def sign(path):
        digests = json.loads(path.read_text())
        path.write_text(json.dumps(digests | {name: sha256(path.with_name(name))}))

    files = {f"corpus/{name}": content}
    if name != "sha256.json" and argv == "check corpus":
        files["corpus/sha256.json"] = sign
    return Attack(files, argv, expected)


def edited(change):
    """Change a JSON file."""
    return lambda path: path.write_text(json.dumps(change(json.loads(path.read_text()))))


def of_split(**changes):
    return edited(lambda info: info | {"splits": [{**info["splits"][0], **changes}]})


def first_row(change):
    """Change the first row of an index."""

    def edit(path):
        first, *rest = path.read_text().splitlines(keepends=True)
        path.write_text(json.dumps(change(json.loads(first))) + "\n" + "".join(rest))

    return edit


def records(change):
    """Change a shard's bytes, whose number stays."""

    def edit(path):
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)

    return Attack(
        {"corpus/manifest-train.array_record-00000-of-00001": edit},
        "prepare augmented corpus --out out",
        "damaged corpus: cannot read",
    )


def lie(content):
    for place in range(0, 4096, 64):
        content[place : place + 8] = (2**63 - 1).to_bytes(8, "little")


CLASS = "pythonClassName"
OWN = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
IN_JSON = json.dumps({"a": {"type": "hostile.Feature", "content": {}}}).replace(".", "\\u002e")
DAMAGED = "damaged corpus: cannot read its description"

CORPORA = {
    "a feature of another module": corpus(
        "features.json", json.dumps({CLASS: "hostile.Feature", "text": {}}).encode(), DAMAGED
    ),
    "a feature of the older form": corpus(
        "features.json", json.dumps({"type": "hostile.Feature", "content": {}}).encode(), DAMAGED
    ),
    "a feature hidden in another": corpus(
        "features.json",
        json.dumps({CLASS: OWN, "jsonFeature": {"json": IN_JSON}}).encode(),
        DAMAGED,
    ),
    "a description without end": corpus("dataset_info.json", b'{"splits":' * 10**5, DAMAGED),
    "records of another kind": corpus(
        "dataset_info.json", edited(lambda info: info | {"fileFormat": "tfrecord"}), DAMAGED
    ),
    "records outside": corpus(
        "dataset_info.json",
        of_split(filepathTemplate="../secret.wav", shardLengths=["1"], numBytes="44"),
        "names files outside of it",
    ),
    "a split outside": corpus("dataset_info.json", of_split(name="../../x"), "damaged corpus"),
    "records cut short": corpus(
        "manifest-train.array_record-00000-of-00001",
        lambda path: os.truncate(path, 1000),
        "bytes of split 'train', found 1000",
    ),
    "records whose lengths lie": records(lie),
    "records that are a pickle": records(
        lambda content: content.__setitem__(slice(None), PICKLE.ljust(len(content)))
    ),
    "an index without end": corpus(
        "index-train.jsonl", sparse, "is it text?", "vocab --data corpus --out v"
    ),
    "an index of brackets": corpus("index-train.jsonl", b"[" * 10**5, "cannot read index-train"),
    "a number of samples that is text": corpus(
        "index-train.jsonl",
        first_row(lambda row: [row[0], "1e9", *row[2:]]),
        "cannot read index-tr",
    ),
    "less than no samples": corpus(
        "index-train.jsonl",
        first_row(lambda row: [row[0], -1, *row[2:]]),
        "cannot read index-train",
    ),
    "a text that is a list": corpus(
        "index-train.jsonl", first_row(lambda row: [*row[:3], [], *row[4:]]), "cannot read index-tr"
    ),
    "a reason that is a list": corpus(
        "left_out-train.jsonl", b'[["a"], "b"]\n', "cannot read left_out-train.jsonl"
    ),
    "digests of files outside": corpus(
        "sha256.json", b'{"../secret.wav": "0"}', "a file of it named '../secret.wav'"
    ),
    "digests of a device": corpus(
        "sha256.json", b'{"/dev/zero": "0"}', "a file of it named '/dev/zero'"
    ),
    "digests of nothing": corpus("sha256.json", b"{}", "expected a digest of index-"),
    "digests that are numbers": corpus(
        "sha256.json", b'{"features.json": 1}', "cannot read its di"
    ),
}

# Tables.

ROW = dict(zip(HEADER, ["u", "0.wav", "", "", "", "one", "eins", "en", "de", "train"], strict=True))


def table(files=(), expected="", options="", **changes):
    row = ROW | {key: str(value) for key, value in changes.items()}
    lines = "\t".join(HEADER), "\t".join(row.values())
    files = {"t.tsv": ("\n".join(lines) + "\n").encode(), **dict(files)}
    return Attack(files, f"prepare manifest t.tsv --out out {options}", expected)


def whole(content, expected):
    return Attack({"t.tsv": content}, "prepare manifest t.tsv --out out", expected)


HEAD = "\t".join(HEADER).encode() + b"\n"

TABLES = {
    "a file above": table(audio="../secret.wav", expected="lies outside"),
    "a file anywhere": table(audio="/etc/passwd", expected="lies outside"),
    "a link to a file above": table(
        {"a.wav": link("../secret.wav")}, audio="a.wav", expected="lies outside"
    ),
    "a link to a folder above": table(
        {"a": link("..")}, audio="a/secret.wav", expected="lies outside"
    ),
    "a link to itself": table({"a.wav": link("a.wav")}, audio="a.wav", expected="no audio file"),
    "a device": table({"a.wav": link("/dev/zero")}, audio="a.wav", expected="lies outside"),
    "a pipe": table({"a.wav": os.mkfifo}, audio="a.wav", expected="no audio file 'a.wav'"),
    "a NUL": table(audio="0.wav\0.txt", expected="found a NUL character"),
    "a name of two lines": table(audio="a\u2028b\x1b[2J", expected="'a\\u2028b\\x1b[2J'"),
    "a name without end": table(audio="a" * 10**5, expected="no audio file 'aaa"),
    "a split above": table(split="../../ran", expected="expected splits named by letters"),
    "a time of a million digits": table(start="9" * 10**6, expected="start: expected seconds"),
    "a time in hexadecimal": table(start="nan", expected="start: expected seconds"),
    "a line without end": whole(sparse, "a longer one; is it text?"),
    "a field without end": whole(
        HEAD + b"u\t" + b"x" * 2**21, "t.tsv:2: expected a line of at most"
    ),
    "a hundred thousand columns": whole(
        b"\t".join(b"%d" % i for i in range(10**5)), "'id' is miss"
    ),
    "UTF-16": whole(HEAD.decode().encode("utf-16"), "expected UTF-8"),
    "a pickle": whole(HEAD + PICKLE, "t.tsv:2: "),
}

# Audio, named by a good table.


def riff(*chunks):
    body = b"".join(name + struct.pack("<I", len(data)) + data for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def form(codec=1, channels=1, rate=16000, bits=16, more=b""):
    width = channels * bits // 8
    return struct.pack("<HHIIHH", codec, channels, rate, rate * width % 2**32, width, bits) + more


def audio(content, expected, options=""):
    return table({"a.wav": content}, audio="a.wav", expected=expected, options=options)


def written(kind, subtype, container=None):
    file = io.BytesIO()
    soundfile.write(file, np.zeros(8000), 16000, format=container or kind, subtype=subtype)
    return file.getvalue()


DATA = (b"data", bytes(32000))
GUID = bytes.fromhex("0000001000800000aa00389b71")
ADPCM = written("WAV", "IMA_ADPCM")

AUDIO = {
    "an unsafe codec": audio(ADPCM, "found IMA ADPCM"),
    "an unsafe codec behind a tag": audio(
        b"ID3\3\0\0\0\0\0\x0a" + bytes(10) + ADPCM, "it is no WAV"
    ),
    "an unsafe codec in another format": audio(written("W64", "IMA_ADPCM"), "found IMA ADPCM"),
    "an unsafe codec in AIFF": audio(written("AIFF", "IMA_ADPCM"), "found codec b'ima4'"),
    "an unsafe codec by its other name": audio(
        riff((b"fmt ", form(0xFFFE, more=b"\x16\0\x10\0\4\0\0\0\2\0" + GUID)), DATA), "Microsoft AD"
    ),
    "an unsafe codec that comes second": audio(
        riff((b"fmt ", form()), (b"fmt ", form(0x11)), DATA), "its header is not that"
    ),
    "an unsafe codec that comes last": audio(
        riff(DATA, (b"fmt ", form(0x11))), "found IMA ADPCM"
    ),
    "a codec that nobody knows": audio(riff((b"fmt ", form(0x1234)), DATA), "found codec 0x1234"),
    "samples that are not there": audio(
        riff((b"fmt ", form()), DATA).replace(struct.pack("<I", 32000), b"\xff" * 4),
        "promises 4294967295 bytes",
    ),
    "a chunk beyond the end": audio(
        riff((b"fmt ", form())) + b"LIST\xff\xff\xff\xff", "its header is not that of a WAV"
    ),
    "chunks without end": audio(
        lambda path: (path.write_bytes(riff()), os.truncate(path, HUGE)), "its header is not that"
    ),
    "no channel": audio(riff((b"fmt ", form(channels=0)), DATA), "cannot read as audio"),
    "a thousand channels": audio(riff((b"fmt ", form(channels=1000)), DATA), "one or two channels"),
    "a rate that nobody hears": audio(
        riff((b"fmt ", form(rate=2**31 - 1)), DATA), "found 2147483647 Hz; convert", "--resample"
    ),
    "hours": audio(
        lambda path: (
            path.write_bytes(riff((b"fmt ", form())) + b"data" + struct.pack("<I", 2**31)),
            os.truncate(path, 44 + 2**31),
        ),
        "at most 600 s of audio",
    ),
    "a FLAC of two months": audio(
        b"fLaC\x80\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(6)
        + (16000 << 44 | 15 << 36 | 2**36 - 1).to_bytes(8) + bytes(16),
        "a.wav",
    ),
    "samples that are no numbers": audio(
        riff((b"fmt ", form(3, bits=32)), (b"data", b"\xff" * 32000)), "expected finite samples"
    ),
    "an array of objects": audio(object_array(), "it is no WAV"),
    "a page": audio(b"<html><script>owned</script>", "a failed download?"),
}  # fmt: skip

# Tables of corpora.


def mustc(entry, expected):
    if isinstance(entry, str):
        entry = entry.encode()
    folder = "m/en-de/data/train"
    files = {f"{folder}/txt/train.yaml": entry, f"{folder}/wav/0.wav": b""}
    files |= {f"{folder}/txt/train.{language}": b"one\n" for language in ("en", "de")}
    return Attack(files, "prepare mustc m --out out", expected)


def entry(**changes):
    found = {"wav": "0.wav", "offset": "0", "duration": "1", "speaker_id": "s"} | changes
    return "- {" + ", ".join(f"{key}: {value}" for key, value in found.items()) + "}\n"


LAUGHS = "".join(f"- &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]\n" for i in range(9))
CALL = "!!python/object/apply:os.mkdir [ran]"


def stm(line, expected):
    files = {"t/legacy/train/stm/a.stm": line.encode(), "t/legacy/train/sph/a.sph": b""}
    return Attack(files, "prepare tedlium t --out out", expected)


def parallel(files, expected):
    argv = "prepare parallel p --languages en de --train a --out out"
    return Attack({f"p/{name}": content for name, content in files.items()}, argv, expected)


def tar(name, kind=tarfile.REGTYPE, target=""):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return file.getvalue()


def zipped(name):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, CODE)
    return file.getvalue()


# A gzip file may be several, one after the other.
ZEROS = gzip.compress(bytes(2**24)) * (HUGE // 2**24)
NEWLINES = gzip.compress(b"\n" * 2**20) * 4

LISTS = {
    "YAML that calls": mustc(f"- {CALL}\n", "nothing deeper, found sequencestart"),
    "YAML that calls for a value": mustc(entry(offset=CALL), "nothing deeper, found sequencestart"),
    "YAML that laughs": mustc(f"- &a0 lol\n{LAUGHS}", "train.yaml:"),
    "YAML of another entry": mustc(
        entry(wav="&a 0.wav", offset="*a"), "nothing deeper, found alias"
    ),
    "YAML without end": mustc("- " + "[" * 10**6, "train.yaml:1"),
    "YAML of brackets": mustc("- {" * 10**5, "train.yaml:1"),
    "YAML of five gigabytes": mustc(sparse, "a longer one; is it text?"),
    "YAML with a key twice": mustc(entry(wav="0.wav, wav: 1.wav"), "found 'wav' twice"),
    "YAML of a file above": mustc(entry(wav="../../../../../secret.wav"), "the bare name of an au"),
    "a talk above": stm("../../secret 1 s 0 1 <NA> one\n", "the bare name of an audio file"),
    "a talk that never ends": stm("a 1 s 0 1e999 <NA> one\n", "end: expected seconds"),
    "five gigabytes of zeros": parallel(
        {"a.en.gz": ZEROS, "a.de": b"x\n"}, "a longer one; is it text?"
    ),
    "a bomb of empty lines": parallel({"a.en.gz": NEWLINES, "a.de.gz": NEWLINES}, "is it a bomb?"),
    "an archive with a path above": parallel(
        {"a.en.gz": tar("../../ran"), "a.de": b"x\n"}, "a NUL"
    ),
    "an archive with a link": parallel(
        {"a.en.gz": tar("ran", tarfile.SYMTYPE, "/etc/passwd"), "a.de": b"x\n"}, "found a NUL char"
    ),
    "an archive of another kind": parallel(
        {"a.en.gz": zipped("../../ran"), "a.de": b"x\n"}, "Not a gzipped file"
    ),
}

ATTACKS = {
    f"{kind}: {name}": attack
    for kind, attacks in (
        *(("experiment", EXPERIMENTS), ("tokenizer", TOKENIZERS), ("corpus", CORPORA)),
        *(("table", TABLES), ("audio", AUDIO), ("list", LISTS)),
    )
    for name, attack in attacks.items()
}


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return get_ready(tmp_path_factory.mktemp("given")).folder


@pytest.fixture(scope="module")
def processes():
    """Those that the commands run in are forked from one that has imported all they need."""
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(
        [
            "support.watched",
            "taskaware.runs.trainer",
            "taskaware.commands.corpora",
            "tensorflow_datasets",
        ]
        + [f"taskaware.data.corpora.{name}" for name in ("manifest", "write", "augmented")]
    )
    return forks


def files_of(folder):
    return {
        path.relative_to(folder): path.lstat().st_mtime_ns for path in sorted(folder.rglob("*"))
    }


def outcome_of(processes, argv, place, log):
    process = processes.Process(target=watched.run, args=(argv, place, log))
    process.start()
    process.join(60)
    process.kill()
    process.join()
    return Outcome(process.exitcode, *(Path(f"{log}.{n}").read_text() for n in ("out", "err")))


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_file_is_refused_in_one_line_and_does_nothing(name, given, processes, tmp_path):
    attack = ATTACKS[name]
    place = tmp_path / "in"
    shutil.copytree(given, place)
    (tmp_path / "secret.wav").write_bytes(riff((b"fmt ", form()), DATA))
    (place / "hostile.py").write_bytes(CODE)
    for path, content in attack.files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        if callable(content):
            content(place / path)
        else:
            (place / path).write_bytes(content)
    before = files_of(tmp_path)
    message = refused(outcome_of(processes, attack.argv.split(), place, tmp_path / "log"))
    assert attack.expected in message
    assert message.isprintable() and len(message) < 2500
    (tmp_path / "log.out").unlink()
    (tmp_path / "log.err").unlink()
    after = files_of(tmp_path)
    # A command that begins to write makes its folder, and takes it away again.
    for changed in (Path("."), Path("in"), Path("in/run")):
        before.pop(changed, None)
        after.pop(changed, None)
    assert after == before


def test_what_is_watched_would_be_seen(processes, tmp_path):
    """The tests above have teeth: code, memory and time are each noticed."""
    for code, expected in {
        "import os; os.system('true')": watched.BROKE_OUT,
        "import pickle; pickle.loads(pickle.dumps(len))": watched.BROKE_OUT,
        "x = bytes(2**32)": 2,  # MemoryError, as a mistake of the file
    }.items():
        (tmp_path / "e.py").write_text(f"{code}\nexperiment = None\n")
        argv = ["train", "e.py", "--out", "run"]
        outcome = outcome_of(processes, argv, tmp_path, tmp_path / "log")
        assert outcome.code == expected, outcome.err


def test_an_experiment_in_json_runs_no_python_beside_it(given, processes, tmp_path):
    """A Python experiment is code, by design; its ``base.py`` is read for ``data``."""
    place = shutil.copytree(given, tmp_path / "in")
    for name in ("base.py", "e.py", "experiment.py", "sitecustomize.py"):
        (place / name).write_bytes(CODE)
    (place / "e.json").write_text(to_json(tiny(Path())))
    argv = ["train", "e.json", "--out", "run", "--dry-run"]
    assert outcome_of(processes, argv, place, tmp_path / "log").code == 0
    assert not (place / "ran").exists()
