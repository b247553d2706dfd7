"""Read MP3 files, whose length no header states reliably.

They consist of frames, each with a header of 4 bytes that determines its size. libsndfile guesses
their number from the first, unless a frame before it states it, and reads no more than that; here
they are counted.
"""

import array
import functools
import io
import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Num

from taskaware.data.audio.streams import (
    SampleType,
    Sequential,
    Version,
    id3_bytes,
    once_per_file,
)
from taskaware.errors import UsageError

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Samples per second, by version: MPEG 1, 2 and 2.5."""
_KBPS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates, by whether it is MPEG 1, and by layer."""
_MONO = 0xC0
"""Bits of a header that are both set if there is one channel."""
_FIXED = 0xFFFE0C00 | _MONO
"""Bits of version, layer and rate, which do not change within a file."""
_SIZED = _FIXED | 0xF200
"""Bits that determine the size of a frame: bit rate and padding besides."""
_DECODER_DELAY = 529
"""Samples of delay by a decoder of layer III, in addition to its encoder's."""
_BEFORE = 20
"""Frames decoded before a stretch: its first may need bytes of ten earlier ones."""
_WINDOW = 2**16
"""Bytes held while frames are counted."""
_MOST_TAGS = 1000
_LIKELY = re.compile(rb"\xff[\xe2-\xff][\x10-\xef]")
"""How a header begins."""


class Mp3(NamedTuple):
    """The frames of a file: where they are, and what they hold."""

    path: Path
    header: int
    """Header of the first frame."""
    rate: int
    channels: int
    frame: int
    """Samples per frame."""
    places: "array.array[int]"
    """Position of each frame that holds samples, and the end of the last, in bytes."""
    delay: int
    """Samples that encoder and decoder add at the beginning."""
    length: int
    """Samples after them."""

    def read(self, first: int, count: int, dtype: SampleType) -> Num[np.ndarray, "A N"]:
        """Decode a stretch, at a cost independent of its start; fewer samples if damaged."""
        first += self.delay
        begin = max(0, first // self.frame - _BEFORE)
        end = min(len(self.places) - 1, -(-(first + count) // self.frame))
        with open(self.path, "rb") as file:
            file.seek(self.places[begin])
            frames = file.read(self.places[end] - self.places[begin])
        skip = first - begin * self.frame
        if _layer(self.header) == 3:
            # If a frame states the number of frames, libmpg123 leaves out its own delay.
            empty = begin == 0
            frames = self._numbered(end - begin, empty=empty) + frames
            skip += empty * self.frame - _DECODER_DELAY
        else:  # zeros after the frames let it guess more frames than there are
            frames += bytes(len(frames))
        with Sequential(io.BytesIO(frames)) as sound:
            return sound.read(skip + count, dtype=dtype, always_2d=True)[skip:]

    def _numbered(self, number: int, *, empty: bool) -> bytes:
        """Return a frame that states how many follow it, and after it an empty one if asked."""
        header = self.header & ~0xF200 | 0x1E000  # no check sum, the highest bit rate, no padding
        size = _sizes(header & _FIXED)[header & _SIZED]
        silence = struct.pack(">I", header) + bytes(_side_bytes(self.header))
        xing = silence + struct.pack(">4sII", b"Xing", 1, number + empty)
        return xing.ljust(size, b"\0") + silence.ljust(size, b"\0") * empty


@once_per_file
def open_mp3(version: Version) -> Mp3:
    """Find and count the frames of a file.

    Raises:
        UsageError: it is cut short or damaged, changes its rate, or is AAC.
    """
    path, size = version.path, version.size
    places, end, place = array.array("q"), 0, 0
    header, sizes, tags = 0, {}, 0
    with open(path, "rb") as file:
        while place < size and tags < _MOST_TAGS:
            file.seek(place)
            window, at = file.read(_WINDOW), 0
            if not places:
                header = int.from_bytes(window[:4], "big")
                sizes = _sizes(header & _FIXED)
            while step := sizes.get(int.from_bytes(window[at : at + 4], "big") & _SIZED):
                places.append(place + at)
                at += step
            place += at
            end = place if at else end
            if at + 4 <= len(window):
                if not (tag := _tag_bytes(window[at : at + 32])):
                    break
                place, tags = place + tag, tags + 1
            elif not at:
                break
        if not places or (len(places) == 1 and not end <= size <= place):
            raise UsageError(f"{path}: cannot read as audio ({_why_no_frame(header)})")
        if end > size:
            raise UsageError(
                f"{path}: expected whole frames, found {size - places[-1]} bytes of the last one's"
                f" {end - places[-1]}; the file was cut short: fetch it again"
            )
        if (other := _frame_after(file, place)) is not None:
            raise UsageError(
                f"{path}: expected a frame at byte {place}, found the next one, or one of another"
                f" rate, at byte {other}; damaged, or joined of several: convert it: ffmpeg -i"
                f" {path.name} NEW.wav"
            )
        file.seek(places[0])
        first = file.read((places[1] if len(places) > 1 else end) - places[0])
    return _described(path, header, first, places, end)


def _described(path: Path, header: int, first: bytes, places: "array.array[int]", end: int) -> Mp3:
    """Return the frames of a file, without a first one that only describes the others.

    Source: http://gabriel.mp3-tech.org/mp3infotag.html
    """
    mpeg1 = header >> 19 & 3 == 3
    channels = 1 if header & _MONO == _MONO else 2
    frame = {1: 384, 2: 1152, 3: 1152 if mpeg1 else 576}[_layer(header)]
    at = 4 + _side_bytes(header)
    if first[at : at + 4] not in (b"Xing", b"Info"):
        at += 2  # after a check sum
    delay = padding = 0
    if _layer(header) == 3 and first[at : at + 4] in (b"Xing", b"Info"):
        del places[0]
        flags = first[at + 7]
        promised = int.from_bytes(first[at + 8 : at + 12], "big") if flags & 1 else 0
        if len(places) + 1 < promised:
            raise UsageError(
                f"{path}: the header promises {promised} frames, found {len(places)}; the file was"
                " cut short: fetch it again"
            )
        at += 8 + 4 * (flags & 1) + 2 * (flags & 2) + 25 * (flags & 4) + (flags & 8) // 2
        added = int.from_bytes(first[at + 21 : at + 24], "big")
        if promised:
            delay = (added >> 12) + _DECODER_DELAY
            padding = max(0, (added & 0xFFF) - _DECODER_DELAY) * (len(places) <= promised)
    length = max(0, len(places) * frame - delay - padding)
    places.append(end)
    rate = _RATES[header >> 19 & 3][header >> 10 & 3]
    return Mp3(path, header, rate, channels, frame, places, delay, length)


def _layer(header: int) -> int:
    return 4 - (header >> 17 & 3)


def _side_bytes(header: int) -> int:
    """Return the number of bytes between a frame's header and its samples, in layer III."""
    mono = header & _MONO == _MONO
    return (17 if mono else 32) if header >> 19 & 3 == 3 else (9 if mono else 17)


@functools.lru_cache(maxsize=8)
def _sizes(fixed: int) -> dict[int, int]:
    """Return the size of a frame by its header's ``_SIZED`` bits; empty if it is not MP3."""
    version, layer, rate = fixed >> 19 & 3, _layer(fixed), fixed >> 10 & 3
    if fixed >> 21 != 0x7FF or version == 1 or layer == 4 or rate == 3:
        return {}
    slot = 4 if layer == 1 else 1
    bits = {1: 12, 2: 144, 3: 144 if version == 3 else 72}[layer] * 1000
    modes = [_MONO] if fixed & _MONO == _MONO else [0x00, 0x40, 0x80]
    return {
        fixed & ~_MONO | i << 12 | padding << 9 | mode: (
            bits * kbps // _RATES[version][rate] + padding
        )
        * slot
        for i, kbps in enumerate(_KBPS[version == 3, layer], 1)
        for padding in (0, 1)
        for mode in modes
    }


def _tag_bytes(head: bytes) -> int:
    """Return the size of a tag by its first bytes, 0 if they do not begin a tag."""
    if head.startswith(b"APETAGEX"):
        return 32 + int.from_bytes(head[12:16], "little")
    return 128 if head.startswith(b"TAG") else id3_bytes(head)


def _frame_after(file: BinaryIO, place: int) -> int | None:
    """Return where the next three frames in a row begin, from a position on."""
    file.seek(place)
    while window := file.read(_WINDOW):
        for match in _LIKELY.finditer(window):
            at, frames = match.start(), 0
            sizes = _sizes(int.from_bytes(window[at : at + 4], "big") & _FIXED)
            while step := sizes.get(int.from_bytes(window[at : at + 4], "big") & _SIZED):
                at, frames = at + step, frames + 1
                if frames == 3:
                    return place + match.start()
        place += len(window)
    return None


def _why_no_frame(header: int) -> str:
    if header >> 20 == 0xFFF and _layer(header) == 4:
        return "it is AAC; convert it: ffmpeg -i FILE NEW.wav"
    if _sizes(header & _FIXED) and not header & 0xF000:
        return "it is MP3 of a free bit rate; convert it: ffmpeg -i FILE NEW.wav"
    return "no frames of MP3 follow each other in it"
