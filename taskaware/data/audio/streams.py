"""Compressed audio whose header may not state its length: FLAC and Ogg."""

import functools
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import soundfile

from taskaware.errors import UsageError

_BLOCK = 2**16
"""Samples decoded at once when they are only counted."""
_WINDOW = 2**20
"""Bytes read at once when a file is searched."""
_FLAC = re.compile(rb"fLaC[\0\x80]\0\0\x22")
"""The beginning of a FLAC file, and of its first block of metadata."""

SampleType = Literal["int16", "float32"]
"""The dtype of samples that are read. A float32 holds 16-bit samples exactly."""

once_per_file = functools.lru_cache(maxsize=1)
"""Caches the last file: a corpus reads the many stretches of a file in a row."""


class Sequential(soundfile.SoundFile):
    """A file from which one stretch is read.

    After each read soundfile seeks to the position after it, unless the file cannot seek. That
    takes time, and fails at the end of a FLAC of unknown length.
    """

    def seekable(self) -> bool:
        """Return False, although ``seek`` works."""
        return False


class Version(NamedTuple):
    """A file at a point in time, as a key of caches: a replaced file is read again."""

    path: Path
    changed: int
    """Time of change, in nanoseconds."""
    size: int
    """Bytes."""

    @classmethod
    def of(cls, path: Path) -> "Version":
        """Return the current version of a file."""
        stat = path.stat()
        return cls(path, stat.st_mtime_ns, stat.st_size)


def id3_bytes(head: bytes) -> int:
    """Return the size of an ID3 tag by its first 10 bytes, 0 if they do not begin one."""
    if not head.startswith(b"ID3") or len(head) < 10:
        return 0
    size = functools.reduce(lambda number, byte: number << 7 | byte & 0x7F, head[6:10], 0)
    return 10 + size + (10 if head[5] & 0x10 else 0)


# FLAC: its header states its length, if the encoder could go back and write it there.


def flac(version: Version) -> tuple[Any, int]:
    """Return a FLAC without the length in its header, and that length, 0 if it had none.

    libsndfile reads no more than the length that the header states, and if it states one, nothing
    of a file whose first frame is not numbered 0.
    """
    with open(version.path, "rb") as file:
        place = file.seek(id3_bytes(file.read(10)) + 21)
        field = file.read(5)  # its last 36 bits are the length
    without = bytes(byte & mask for byte, mask in zip(field, b"\xf0\0\0\0\0", strict=False))
    return patched(version.path, place, without), int.from_bytes(field, "big") & 2**36 - 1


@once_per_file
def flac_length(version: Version) -> int:
    """Return how many samples a FLAC has, by decoding it."""
    with Sequential(flac(version)[0]) as sound:
        try:
            return sum(iter(lambda: len(sound.read(_BLOCK, dtype="float32")), 0))
        except soundfile.LibsndfileError:
            _require_one_flac(version)
            raise


def require_flac_ends(version: Version, sound: soundfile.SoundFile) -> None:
    """Refuse a FLAC that continues where its header says that it ends.

    Raises:
        UsageError: it continues; it may be several files joined.
    """
    try:
        more = len(sound.read(1, dtype="float32"))
    except soundfile.LibsndfileError:  # what follows is not a frame
        _require_one_flac(version)
        return
    if more:
        raise UsageError(
            f"{version.path}: expected its end where the header says, after {sound.tell() - 1}"
            f" samples, found more of them; convert it: ffmpeg -i {version.path.name} NEW.wav"
        )


def _require_one_flac(version: Version) -> None:
    headers, place, before = 0, 0, b""
    with open(version.path, "rb") as file:
        while block := file.read(_WINDOW):
            for match in _FLAC.finditer(before + block):
                headers += 1
                if headers == 2:
                    raise _joined(version.path, place - len(before) + match.start())
            place, before = place + len(block), block[-7:]  # a byte less than a header


def _joined(path: Path, place: int) -> UsageError:
    return UsageError(
        f"{path}: expected one recording, found another one after it, at byte {place}; split it"
        f" there: head -c {place} and tail -c +{place + 1}"
    )


# Ogg: pages, each with a header of 27 bytes and a checksum, that carry one or more streams.

_BEGINS, _ENDS = 2, 4
"""Bits of a page's type: the page is the first of its stream, or the last."""
_UNREADABLE = {
    b"\x7fFLAC": "FLAC in Ogg",
    b"Speex   ": "Speex",
    b"\x80theora": "video",
}
"""Names of streams that are not read, by how their first page begins."""
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_sum(page: bytes) -> int:
    """Return the checksum of a page: zlib's, but with mirrored bits, and 0 at start and end."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 2**32 - 1) ^ (2**32 - 1)
    return int(f"{mirrored:032b}"[::-1], 2)


@once_per_file
def ogg_patch(version: Version) -> tuple[int, bytes] | None:
    """Return where a file must be patched to be read to its end, and by what; usually None.

    libsndfile refuses an Opus stream whose last page is not marked as its last.

    Raises:
        UsageError: the file is cut short or damaged, is several files joined, or is neither
            Vorbis nor Opus.
    """
    path, size = version.path, version.size
    begun, place, page = False, 0, b""
    with open(path, "rb") as file:
        for place, page in _pages(path, file, size):
            if page[5] & _BEGINS:
                if begun:
                    raise _joined(path, place)
                packet = page[27 + page[26] :]
                for magic, name in _UNREADABLE.items():
                    if packet.startswith(magic):
                        raise UsageError(
                            f"{path}: expected Vorbis or Opus, found {name}; convert it: ffmpeg -i"
                            f" {path.name} NEW.wav"
                        )
            else:
                begun = True
    if not page or page[5] & _ENDS:
        return None
    last = page[:5] + bytes([page[5] | _ENDS]) + page[6:22] + bytes(4) + page[26:]
    return place, last[:22] + struct.pack("<I", _ogg_sum(last)) + last[26:]


def _pages(path: Path, file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the position and content of each page, after checking it."""
    place, numbers, granules = 0, {}, {}
    while (head := file.read(27)).startswith(b"OggS"):
        lengths = file.read(head[26]) if len(head) == 27 else b""
        page = head + lengths + file.read(sum(lengths))
        if len(head) < 27 or len(page) < 27 + head[26] + sum(lengths):
            raise UsageError(
                f"{path}: expected whole pages, found that the last one, at byte {place}, ends"
                f" with the file at byte {size}; the file was cut short: fetch it again"
            )
        if _ogg_sum(page[:22] + bytes(4) + page[26:]) != int.from_bytes(page[22:26], "little"):
            raise UsageError(f"{path}: the page at byte {place} is damaged; fetch the file again")
        serial, number = page[14:18], int.from_bytes(page[18:22], "little")
        if number != numbers.get(serial, number):
            raise UsageError(
                f"{path}: expected page {numbers[serial]} at byte {place}, found page {number};"
                " the file is damaged: fetch it again"
            )
        numbers[serial] = number + 1
        granule = int.from_bytes(page[6:14], "little", signed=True)
        if 0 <= granule < granules.get(serial, 0):
            raise UsageError(
                f"{path}: expected the page at byte {place} to end after sample"
                f" {granules[serial]}, as the page before it, found {granule}; convert it: ffmpeg"
                f" -i {path.name} NEW.wav"
            )
        if granule >= 0:
            granules[serial] = granule
        yield place, page
        place += len(page)
    before = head
    while block := file.read(_WINDOW):
        before = before[-3:] + block
        if b"OggS" in before:
            raise UsageError(
                f"{path}: expected a page at byte {place}, found it damaged; fetch the file again"
            )


def patched(path: Path, place: int, content: bytes) -> Any:
    """Return a copy-on-write view of a file with other content at a position."""
    with open(path, "rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    view[place : place + len(content)] = content
    return view
