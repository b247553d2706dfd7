"""What headers of uncompressed audio promise against what their files hold."""

import io
import struct

import numpy as np
import pytest
from support.sounds import RATE, noise

from taskaware.errors import UsageError

soundfile = pytest.importorskip("soundfile")
from taskaware.data.audio.recording import read_audio  # noqa: E402

FORMATS = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST"]
SAMPLES = noise(1)


def written(samples=SAMPLES, rate=RATE, **form):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **form)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.audio"


def refusal(path, content, **options):
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_audio(path, **options)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def assert_reads(path, content):
    path.write_bytes(content)
    np.testing.assert_array_equal(read_audio(path).samples, SAMPLES)


def changed(content, what, new):
    """Content with other bytes where it has some, once."""
    assert content.count(what) == 1 and len(what) == len(new)
    return content.replace(what, new)


@pytest.mark.parametrize("name", FORMATS)
def test_every_sample_is_read(path, name):
    assert_reads(path, written(format=name, subtype="PCM_16"))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_other_widths_are_counted_right(path, name, subtype):
    if not soundfile.check_format(name, subtype):
        pytest.skip(f"there is no {name} of {subtype}")
    path.write_bytes(written(SAMPLES / 32768, format=name, subtype=subtype))
    samples = read_audio(path).samples
    assert len(samples) == RATE
    assert np.abs(samples - SAMPLES.astype(float)).max() <= (600 if subtype == "ULAW" else 1)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("lost", [2, 15000, 31000])
def test_a_file_cut_short_is_refused(path, name, lost):
    content = written(format=name, subtype="PCM_16")
    message = refusal(path, content[:-lost])
    assert "promises 32000 bytes of samples, found" in message or "not that of a" in message


TOLD = {
    "WAV": (b"data" + struct.pack("<I", 32000), b"data" + struct.pack("<I", 16000)),
    "W64": (struct.pack("<Q", 32024), struct.pack("<Q", 16024)),
    "AIFF": (b"SSND" + struct.pack(">I", 32008), b"SSND" + struct.pack(">I", 16008)),
    "AU": (struct.pack(">II", 24, 32000), struct.pack(">II", 24, 16000)),
    "CAF": (b"data" + struct.pack(">Q", 32004), b"data" + struct.pack(">Q", 16004)),
    "NIST": (b"sample_count -i 16000\n", b"sample_count -i 08000\n"),
}


@pytest.mark.parametrize("name", TOLD)
def test_samples_beyond_those_that_are_promised_are_not_lost_in_silence(path, name):
    content = changed(written(format=name, subtype="PCM_16"), *TOLD[name])
    assert "promises 16000 bytes of samples, found 16000 bytes after" in refusal(path, content)


def test_an_aiff_is_read_by_its_bytes_where_it_counts_fewer_samples(path):
    content = written(format="AIFF", subtype="PCM_16")
    assert_reads(
        path, changed(content, struct.pack(">HIH", 1, 16000, 16), struct.pack(">HIH", 1, 8000, 16))
    )


@pytest.mark.parametrize("name", FORMATS)
def test_zeros_may_follow(path, name):
    assert_reads(path, written(format=name, subtype="PCM_16") + bytes(1000))


def test_chunks_may_follow_but_no_second_one_of_samples(path):
    content = written(format="WAV", subtype="PCM_16")
    note = b"LIST" + struct.pack("<I", 6) + b"abcdef"
    assert_reads(path, content + note + note + bytes(6))
    assert_reads(path, content + note + b"TAG" + b"x" * 125)
    more = b"data" + struct.pack("<I", 32000) + SAMPLES.tobytes()
    assert "found another at byte 32058" in refusal(path, content + note + more)
    assert "no chunk, from byte 32058" in refusal(path, content + note + note[:-1])


def test_a_length_that_is_left_open_is_that_of_the_file_where_libsndfile_takes_it(path):
    content = written(format="AU", subtype="PCM_16")
    assert_reads(
        path, changed(content, struct.pack(">II", 24, 32000), struct.pack(">II", 24, 2**32 - 1))
    )
    content = written(format="CAF", subtype="PCM_16")
    content = changed(content, b"data" + struct.pack(">Q", 32004), b"data" + b"\xff" * 8)
    assert "leaves it open; convert it: ffmpeg -i a.audio NEW.wav" in refusal(path, content)


def test_rf64_tells_its_length_apart(path):
    """By hand: ds64 has the lengths, data has 2³² − 1."""
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 32000 + 72, 32000, 16000, 0)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    data = b"data\xff\xff\xff\xff" + SAMPLES.tobytes()
    assert_reads(path, b"RF64\xff\xff\xff\xffWAVE" + ds64 + form + data)
    assert "promises 32000 bytes" in refusal(path, path.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        *[("WAV", "MS_ADPCM"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610"), ("W64", "IMA_ADPCM")],
        *[("AIFF", "IMA_ADPCM"), ("AIFF", "GSM610"), ("AIFF", "DWVW_16"), ("AU", "G721_32")],
        *[("AU", "G723_24"), ("CAF", "ALAC_16")],
    ],
)
def test_an_unsafe_codec_is_refused_in_every_container(path, name, subtype):
    content = written(format=name, subtype=subtype)
    assert "expected PCM or float samples, found" in refusal(path, content)


def test_samples_that_libsndfile_would_take_for_narrower_ones_are_refused(path):
    content = written(format="WAV", subtype="PCM_32")
    form = struct.pack("<IHH", 4 * RATE, 4, 32), struct.pack("<IHH", 4 * RATE, 4, 24)
    assert "24 bits in 4 bytes each" in refusal(path, changed(content, *form))


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_a_chunk_may_follow_an_odd_number_of_bytes_with_or_without_padding(path, padding):
    content = written(np.zeros(1001), format="WAV", subtype="PCM_U8")
    content = content[: 44 + 1001] + padding + b"LIST" + struct.pack("<I", 4) + b"abcd"
    path.write_bytes(content)
    assert len(read_audio(path).samples) == 1001


@pytest.mark.parametrize("coding", ["pcm,embedded-shorten-v2.00", "ulaw,embedded-shorten-v1.1"])
def test_a_compressed_sphere_names_what_converts_it(path, coding):
    lines = f"sample_count -i 16000\nsample_coding -s{len(coding)} {coding}\nend_head\n"
    content = (b"NIST_1A\n   1024\n" + lines.encode()).ljust(1024) + b"ajkg" + bytes(999)
    assert f"found {coding}; convert it: sph2pipe -f wav a.audio" in refusal(path, content)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\0\0\0\x20ftypM4A ", "it is MP4; convert it: ffmpeg -i FILE NEW.wav"),
        (b"\x1aE\xdf\xa3", "it is Matroska or WebM"),
        (b"#!AMR\n", "it is AMR"),
        (b"wvpk", "it is WavPack"),
        (b"\x1f\x8b\x08", "it is packed"),
        (b"ajkg\2", "it is compressed by shorten"),
        (b"BW64\xff\xff\xff\xffWAVE", "not read here; convert it: ffmpeg"),
        (b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + b"OggS", "remove that: tail -c +21"),
    ],
)
def test_what_is_not_read_is_named_with_what_converts_it(path, start, expected):
    assert expected in refusal(path, start.ljust(100, b"\1"))


def test_192_khz_is_converted_and_more_refused_with_the_cure(path):
    time = np.arange(192_000) / 192_000
    path.write_bytes(written(0.5 * np.sin(2 * np.pi * 440 * time), 192_000, format="WAV"))
    samples = read_audio(path, resample=True).samples
    expected = 16384 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert np.abs(samples - expected)[500:-500].max() < 0.01 * 16384
    content = written(np.zeros(400_000), 384_000, format="WAV")
    assert "found 384000 Hz; convert it: ffmpeg" in refusal(path, content, resample=True)
