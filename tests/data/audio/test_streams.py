"""FLAC and Ogg whose headers do not tell the length, or that are several files joined."""

import io
import re
import struct

import numpy as np
import pytest
from support.sounds import RATE, noise, speech_like

from taskaware.errors import UsageError

soundfile = pytest.importorskip("soundfile")
from taskaware.data.audio.recording import read_audio  # noqa: E402

SUBTYPES = ["VORBIS", "OPUS"]


def refusal(path):
    with pytest.raises(UsageError) as error:
        read_audio(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def encoded(samples, **form):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, **form)
    return file.getvalue()


# FLAC.


@pytest.fixture
def samples():
    return speech_like(9)


def telling(samples, length):
    """A FLAC whose header tells a length: the low 36 bits of 8 bytes."""
    data = bytearray(encoded(samples, format="FLAC"))
    (field,) = struct.unpack_from(">Q", data, 18)
    assert field & 2**36 - 1 == len(samples)
    struct.pack_into(">Q", data, 18, field & ~(2**36 - 1) | length)
    return bytes(data)


def untold(samples):
    """A FLAC as it comes through a pipe."""
    return telling(samples, 0)


def test_a_flac_that_does_not_tell_its_length_is_read_to_its_end(tmp_path, samples):
    path = tmp_path / "a.flac"
    path.write_bytes(untold(samples))
    np.testing.assert_array_equal(read_audio(path).samples, samples)
    for start, duration in [(0.0, 1.0), (3.25, 2.0), (8.0, 1.0), (8.0, None)]:
        expected = samples[round(start * RATE) :][: round((duration or 9) * RATE)]
        np.testing.assert_array_equal(read_audio(path, start, duration).samples, expected)


def test_it_is_refused_where_it_is_cut(tmp_path, samples):
    path = tmp_path / "a.flac"
    path.write_bytes(untold(samples)[:-5000])
    assert "cannot read as audio (Error : flac decoder lost sync)" in refusal(path)


def test_a_flac_that_goes_on_where_its_header_says_that_it_ends_is_refused(tmp_path, samples):
    """So ffmpeg joins several by ``-f concat -c copy``: with the header of the first."""
    path = tmp_path / "a.flac"
    path.write_bytes(telling(samples, len(samples) - RATE))
    assert f"after {len(samples) - RATE} samples, found more of them; convert it" in refusal(path)
    np.testing.assert_array_equal(read_audio(path, 2.0, 3.0).samples, samples[2 * RATE : 5 * RATE])


def test_what_follows_a_flac_and_is_none_is_left_alone(tmp_path, samples):
    path = tmp_path / "a.flac"
    path.write_bytes(encoded(samples, format="FLAC") + b"TAG".ljust(128, b"\0"))
    np.testing.assert_array_equal(read_audio(path).samples, samples)


def test_a_flac_whose_first_frame_is_not_numbered_0_is_read(tmp_path, samples):
    """So ``-ss`` and ``-c copy`` leave one."""
    path = tmp_path / "a.flac"
    data = untold(samples)
    first = re.search(rb"\xff\xf8(..)\0", data, re.DOTALL)
    assert first
    second = data.index(b"\xff\xf8" + first[1] + b"\1")
    path.write_bytes(data[: first.start()] + data[second:])
    np.testing.assert_array_equal(read_audio(path).samples, samples[4096:])


def test_two_flacs_joined_are_told_from_one(tmp_path, samples):
    path = tmp_path / "a.flac"
    one = encoded(samples, format="FLAC")
    for first in (one, untold(samples)):
        path.write_bytes(first + one)
        assert f"another one after it, at byte {len(one)}; split it" in refusal(path)
    path.write_bytes(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + one)
    np.testing.assert_array_equal(read_audio(path).samples, samples)


# Ogg.


def pages(data):
    while data:
        size = 27 + data[26] + sum(data[27 : 27 + data[26]])
        yield data[:size]
        data = data[size:]


def sealed(page):
    """A page with its check sum: a remainder by the polynomial 0x04c11db7, bit by bit."""
    page = page[:22] + bytes(4) + page[26:]
    remainder = 0
    for byte in page:
        remainder ^= byte << 24
        for _ in range(8):
            remainder = (remainder << 1) ^ (0x04C11DB7 if remainder >> 31 else 0)
            remainder &= 2**32 - 1
    return page[:22] + struct.pack("<I", remainder) + page[26:]


@pytest.fixture(params=SUBTYPES)
def ogg(request):
    return [*pages(encoded(noise(3.5), format="OGG", subtype=request.param))]


def test_an_ogg_whose_last_page_does_not_say_so_is_read_to_its_end(tmp_path, ogg):
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(ogg))
    expected = read_audio(path).samples
    assert len(expected) == 3.5 * RATE
    assert ogg[-1][5] & 4
    path.write_bytes(b"".join([*ogg[:-1], sealed(ogg[-1][:5] + b"\0" + ogg[-1][6:])]))
    np.testing.assert_array_equal(read_audio(path).samples, expected)
    np.testing.assert_array_equal(read_audio(path, 2.0, 1.5).samples, expected[2 * RATE :])


def test_two_oggs_joined_are_refused(tmp_path, ogg):
    path = tmp_path / "a.ogg"
    other = [sealed(page[:14] + b"next" + page[18:]) for page in ogg]
    path.write_bytes(b"".join(ogg + other))
    size = sum(map(len, ogg))
    assert f"another one after it, at byte {size}; split it" in refusal(path)


def test_an_ogg_that_ends_within_a_page_was_cut(tmp_path, ogg):
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(ogg)[:-500])
    assert "cut short" in refusal(path)


def test_a_page_that_was_damaged_is_told(tmp_path, ogg):
    path = tmp_path / "a.ogg"
    data = bytearray(b"".join(ogg))
    place = sum(map(len, ogg[:-1]))
    data[place + 200] ^= 1
    path.write_bytes(data)
    assert f"the page at byte {place} is damaged" in refusal(path)
    data[place + 1] ^= 1
    path.write_bytes(data + b"".join(ogg[-1:]))
    assert f"expected a page at byte {place}, found it damaged" in refusal(path)


def test_a_page_that_is_missing_or_there_twice_is_told(tmp_path, ogg):
    """Though a stretch beyond it could be read; one across it would lack the sound in between."""
    path = tmp_path / "a.ogg"
    for pages_left, number in ((ogg[:2] + ogg[3:], 3), (ogg[:2] + ogg[1:], 1)):
        path.write_bytes(b"".join(pages_left))
        with pytest.raises(UsageError, match=f"expected page 2 at byte .*, found page {number};"):
            read_audio(path, 0.5, 2.0)


def test_a_length_that_goes_back_is_told(tmp_path, ogg):
    path = tmp_path / "a.ogg"
    last = sealed(ogg[-1][:6] + struct.pack("<q", 20000) + ogg[-1][14:])
    path.write_bytes(b"".join([*ogg[:-1], last]))
    assert "found 20000; convert it" in refusal(path)


@pytest.mark.parametrize(
    ("packet", "name"), [(b"\x7fFLAC\1\0", "FLAC in Ogg"), (b"Speex   1.2", "Speex")]
)
def test_what_libsndfile_does_not_read_in_ogg_is_named(tmp_path, packet, name):
    path = tmp_path / "a.ogg"
    head = b"OggS\0\2" + bytes(8) + b"name" + bytes(4)
    path.write_bytes(sealed(head + bytes(4) + bytes([1, len(packet)]) + packet))
    assert f"found {name}; convert it: ffmpeg -i a.ogg NEW.wav" in refusal(path)
