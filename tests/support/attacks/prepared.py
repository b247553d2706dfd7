"""Prepared folders that mean harm."""

import json
import os

from support.attacks.base import PICKLE, Attack, sparse
from taskaware.data.corpora.base import sha256


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
    "a label of two lines": corpus(
        "index-train.jsonl",
        first_row(lambda row: [*row[:8], {"intent": "a\nb"}]),
        "cannot read index-train",
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
