"""Lists of corpora that mean harm."""

import gzip
import io
import tarfile
import zipfile

from support.attacks.base import CODE, HUGE, Attack, sparse


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
