"""Tables that mean harm."""

import os

from support.attacks.base import PICKLE, Attack, link, sparse
from support.command_line import HEADER

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
