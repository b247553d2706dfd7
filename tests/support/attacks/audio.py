"""Audio that means harm, named by a good table."""

import io
import os
import struct

import numpy as np
import soundfile

from support.attacks.base import HUGE, object_array
from support.attacks.tables import table


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
