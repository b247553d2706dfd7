"""Identify audio files by their headers, and check that they hold the samples that these promise.

Some of libsndfile's decoders are known to be unsafe, so it opens no file whose header has not been
checked here first.
"""

import math
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from taskaware.data.audio.streams import id3_bytes
from taskaware.errors import UsageError


class Header(NamedTuple):
    """What the header of a file says."""

    container: str
    """MP3, FLAC, Ogg or another."""
    sample_bytes: int | None = None
    """Size of all its samples; None if they are compressed."""


def read_header(path: Path) -> Header:
    """Return a file's container and the size of its samples, by its first bytes.

    Raises:
        UsageError: it is not audio, has samples of another kind than PCM or float, or holds
            fewer or more of them than it promises.
    """
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(64)
        for layout in _LAYOUTS:
            if re.match(layout.magic, start, re.DOTALL):
                return Header(layout.name, _in_chunks(path, file, size, layout))
        if start.startswith((b".snd", b"dns.")):
            return Header("AU", _in_au(path, file, size, start))
        if start.startswith(b"NIST_1A\n"):
            return Header("SPHERE", _in_sphere(path, file, size))
        if start.startswith(b"ID3"):  # libsndfile would guess the format of what follows
            tag = file.seek(id3_bytes(start))
            start = file.read(64)
            if start.startswith(b"OggS"):
                raise UsageError(
                    f"{path}: expected Ogg from its first byte on, found an ID3 tag before it;"
                    f" remove that: tail -c +{tag + 1}"
                )
    for magic, container in _COMPRESSED.items():
        if start.startswith(magic):
            return Header(container)
    if start[:1] == b"\xff" and start[1:2] >= b"\xe0":
        return Header("MP3")
    raise UsageError(f"{path}: cannot read as audio ({_what_else(start)})")


_COMPRESSED = {b"fLaC": "FLAC", b"OggS": "Ogg"}
_CONVERTED = {
    rb".{4}ftyp": "MP4",
    rb"\x1aE\xdf\xa3": "Matroska or WebM",
    rb"0&\xb2u\x8ef\xcf\x11": "WMA",
    rb"#!AMR": "AMR",
    rb"wvpk": "WavPack",
    rb"MAC ": "Monkey's Audio",
    rb"RIFX|BW64|caff|FORM|RIFF.{4}AVI |\.RMF|FLV|DSD |FRM8": "a container that is not read here",
    rb"\x0bw": "AC-3",
    rb"TTA[12]": "True Audio",
    rb"Creative Voice File": "VOC",
}
"""Names of formats that ffmpeg reads, by how their files begin."""


def _what_else(start: bytes) -> str:
    for magic, name in _CONVERTED.items():
        if re.match(magic, start, re.DOTALL):
            return f"it is {name}; convert it: ffmpeg -i FILE NEW.wav"
    if start.startswith(b"ajkg"):
        return "it is compressed by shorten; convert it: shorten -x FILE NEW.sph"
    if start.startswith((b"\x1f\x8b", b"PK\3\4", b"BZh", b"\xfd7zXZ")):
        return "it is packed; unpack it"
    html = "it begins like HTML: a failed download?" if start.lstrip().startswith(b"<") else ""
    return (
        "it is no WAV, FLAC, Ogg, MP3, SPHERE, AIFF, AU, CAF or W64 file;"
        f" {html or 'ffmpeg or sox may convert it'}"
    )


def _require_held(path: Path, promised: int, held: int) -> None:
    if promised > held or (promised == 0 and held > 0):
        raise UsageError(
            f"{path}: the header promises {promised} bytes of samples, found {held}; the file was"
            " cut short or never finished: fetch or convert it again"
        )


def _require_no_more(path: Path, file: BinaryIO, promised: int, end: int, size: int) -> None:
    """Refuse what follows the samples and the chunks after them, unless it is zeros or an ID3 tag.

    It may be samples as well, if the header was never completed.
    """
    file.seek(min(end, size))
    if size - end == 128 and file.read(3) == b"TAG":
        return
    file.seek(min(end, size))
    if any(block.strip(b"\0") for block in iter(lambda: file.read(2**20), b"")):
        raise UsageError(
            f"{path}: the header promises {promised} bytes of samples, found {size - end} bytes"
            f" after them that are no chunk, from byte {end}; if they are samples, its length is"
            " wrong: sox --ignore-length IN OUT"
        )


def _require_plain(path: Path, codec: str) -> None:
    if codec:
        raise UsageError(
            f"{path}: expected PCM or float samples, found {codec}; convert it: ffmpeg -i"
            f" {path.name} NEW.wav"
        )


# Containers that consist of chunks, each with its name and its length.

_MOST_CHUNKS = 1000


class _Layout(NamedTuple):
    """The layout of a container of chunks."""

    name: str
    magic: bytes
    """How its files begin, as a regular expression."""
    first: int
    """Position of its first chunk, in bytes."""
    head: struct.Struct
    """Name and length at the beginning of a chunk."""
    counted: int
    """Bytes of the head that the length includes."""
    aligned: int
    """Chunks begin at multiples of this."""
    form: bytes
    """Name of the chunk that describes the samples."""
    samples: bytes
    """Name of the chunk that holds the samples."""
    offset: int
    """Bytes before the samples in that chunk."""
    codec: Callable[[bytes], str]
    """Returns the codec from the chunk ``form``; "" for PCM or float samples."""


_ADPCM = {0x0002: "Microsoft ADPCM", 0x0011: "IMA ADPCM"}
_EXTENSIBLE = 0xFFFE


def _wav_codec(form: bytes) -> str:
    codec = int.from_bytes(form[:2], "little")
    if codec == _EXTENSIBLE:  # a GUID begins with the codec
        codec = int.from_bytes(form[24:26], "little")
    channels, align, bits = (int.from_bytes(form[i : i + 2], "little") for i in (2, 12, 14))
    if codec == 0x0001 and bits == 24 and align == 4 * channels:
        return "samples of 24 bits in 4 bytes each"
    plain = codec in (0x0001, 0x0003, 0x0006, 0x0007)  # PCM, float, A-law and µ-law
    return "" if plain else _ADPCM.get(codec, f"codec {codec:#06x}")


def _aifc_codec(form: bytes) -> str:
    plain = b"NONE sowt twos in24 in32 fl32 FL32 fl64 FL64 ulaw ULAW alaw ALAW".split()
    return "" if form[18:22] in (*plain, b"raw ") else f"codec {form[18:22]!r}"


def _caf_codec(form: bytes) -> str:
    return "" if form[8:12] in (b"lpcm", b"ulaw", b"alaw") else f"codec {form[8:12]!r}"


_RIFF, _IFF = struct.Struct("<4sI"), struct.Struct(">4sI")
_CAF, _W64 = struct.Struct(">4sQ"), struct.Struct("<16sQ")
_GUID = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""The end of every chunk's name in W64."""
_LAYOUTS = (
    _Layout("WAV", rb"RIFF.{4}WAVE", 12, _RIFF, 0, 2, b"fmt ", b"data", 0, _wav_codec),
    _Layout("RF64", rb"RF64.{4}WAVEds64", 12, _RIFF, 0, 2, b"fmt ", b"data", 0, _wav_codec),
    _Layout("AIFF", rb"FORM.{4}AIFF", 12, _IFF, 0, 2, b"COMM", b"SSND", 8, lambda form: ""),
    _Layout("AIFF", rb"FORM.{4}AIFC", 12, _IFF, 0, 2, b"COMM", b"SSND", 8, _aifc_codec),
    _Layout("CAF", rb"caff\x00\x01..desc", 8, _CAF, 0, 1, b"desc", b"data", 4, _caf_codec),
    _Layout(
        "W64", rb"riff.{20}wave", 40, _W64, 24, 8, b"fmt " + _GUID, b"data" + _GUID, 0, _wav_codec
    ),
)


def _in_chunks(path: Path, file: BinaryIO, size: int, layout: _Layout) -> int:
    """Return the size of the samples in bytes; only chunks or zeros may follow them."""
    form = samples = None
    long, end = 0, layout.first
    for name, begin, length in _chunks(file, size, layout, layout.first):
        if name == b"ds64":  # of RF64: the lengths that 32 bits cannot hold
            long = int.from_bytes(file.read(16)[8:], "little")
        elif name == layout.form and form is None:
            form = file.read(min(length, 64))
            _require_plain(path, layout.codec(form))
        elif name == layout.samples and (form is not None or layout.magic[:4] == b"FORM"):
            if layout.name == "RF64" and length == 2**32 - 1:
                length = long
            if layout.name == "CAF" and length == 2**64 - 1:  # right, but libsndfile refuses it
                raise UsageError(
                    f"{path}: expected a length, found that the header leaves it open; convert"
                    f" it: ffmpeg -i {path.name} NEW.wav"
                )
            samples = max(0, length - layout.offset)
            _require_held(path, samples, max(0, size - begin - layout.offset))
        elif name == layout.form or begin + length > size:
            break
        end = begin + length
        if samples is not None and form is not None:
            after = _end_of_chunks(path, file, size, layout, end)
            _require_no_more(path, file, samples, after, size)
            return samples
    raise UsageError(
        f"{path}: cannot read as audio (its header is not that of a {layout.name} file)"
    )


def _chunks(
    file: BinaryIO, size: int, layout: _Layout, place: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each chunk and where its content begins, seek there, and its length."""
    for _ in range(_MOST_CHUNKS):
        if place > size:
            return
        file.seek(place)
        head = file.read(layout.head.size)
        if len(head) < layout.head.size:
            return
        name, length = layout.head.unpack(head)
        begin, length = place + layout.head.size, length - layout.counted
        if length < 0:
            return
        yield name, begin, length
        place = -(-(begin + length) // layout.aligned) * layout.aligned


def _end_of_chunks(path: Path, file: BinaryIO, size: int, layout: _Layout, end: int) -> int:
    """Return the position at which the chunks after the samples end."""
    file.seek(end)
    padded = not any(file.read(-end % layout.aligned))  # as the format demands
    place = end + padded * (-end % layout.aligned)
    for name, begin, length in _chunks(file, size, layout, place):
        if name == layout.samples:
            raise UsageError(
                f"{path}: expected one chunk of samples, found another at byte {place}; convert"
                f" the file: ffmpeg -i {path.name} NEW.wav"
            )
        if begin + length > size or not re.match(rb"[ -~]{4}", name):
            break
        place = -(-(begin + length) // layout.aligned) * layout.aligned
    return place


def _in_au(path: Path, file: BinaryIO, size: int, start: bytes) -> int:
    """Return the size of the samples of an AU file; its header may leave it open.

    Source: the header of Sun's and NeXT's audio files.
    """
    order = "big" if start.startswith(b".snd") else "little"
    offset, promised, codec = (int.from_bytes(start[i : i + 4], order) for i in (4, 8, 12))
    _require_plain(path, "" if codec in (1, 2, 3, 4, 5, 6, 7, 27) else f"codec {codec}")
    held = max(0, size - offset)
    if promised == 2**32 - 1:
        return held
    _require_held(path, promised, held)
    _require_no_more(path, file, promised, offset + promised, size)
    return promised


def _in_sphere(path: Path, file: BinaryIO, size: int) -> int:
    """Return the size of the samples of a SPHERE file in bytes.

    Source: the header of NIST SPHERE: lines of a name, a type and a value.
    """
    file.seek(8)
    length = file.read(8).strip()
    if not length.isdigit() or not 16 < int(length) <= min(size, 2**16):
        raise UsageError(f"{path}: cannot read as audio (its header is not that of a SPHERE file)")
    lines = (line.split() for line in file.read(int(length) - 16).splitlines())
    fields = {line[0]: line[2] for line in lines if len(line) == 3}
    coding = fields.get(b"sample_coding", b"pcm")
    if b"," in coding:  # such as pcm,embedded-shorten-v2.00
        raise UsageError(
            f"{path}: expected samples as they are, found {coding.decode(errors='replace')};"
            f" convert it: sph2pipe -f wav {path.name} NEW.wav"
        )
    names = (b"sample_count", b"channel_count", b"sample_n_bytes")
    counts = [fields.get(name, b"") for name in names]
    if not all(count.isdigit() and len(count) < 16 for count in counts):
        raise UsageError(f"{path}: cannot read as audio (its header does not count its samples)")
    promised = math.prod(map(int, counts))
    _require_held(path, promised, size - int(length))
    _require_no_more(path, file, promised, int(length) + promised, size)
    return promised
