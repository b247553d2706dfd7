import math
import os
import shutil
import struct
import subprocess

import numpy as np
import pytest
from support.sounds import noise, speech_like

from taskaware.errors import UsageError

soundfile = pytest.importorskip("soundfile")
from taskaware.data.audio.recording import CUT, ONE_CHANNEL, SILENT, read_audio  # noqa: E402

RATE = 16000


@pytest.fixture
def samples():
    return np.random.default_rng(0).integers(-32768, 32768, RATE).astype(np.int16)


@pytest.fixture
def wav(tmp_path, samples):
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE)
    return path


def refusal(path, *args, **kwargs):
    """The message with which a file is refused: one line that names it."""
    with pytest.raises(UsageError) as error:
        read_audio(path, *args, **kwargs)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["wav", "flac", "aiff"])
def test_16_bit_samples_come_back_bit_by_bit(tmp_path, samples, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    result = read_audio(path).samples
    assert result.dtype == np.int16
    np.testing.assert_array_equal(result, samples)


def test_float_samples_are_rounded_and_clipped(tmp_path):
    path = tmp_path / "a.wav"
    values = [0.0, 0.6 / 32768, -1.4 / 32768, 1.0, -1.0]
    soundfile.write(path, np.array([1.5, -2.0, *values * 100]), RATE, subtype="FLOAT")
    samples, notes = read_audio(path)
    np.testing.assert_array_equal(samples, [32767, -32768, *[0, 1, -1, 32767, -32768] * 100])
    assert notes == ("samples beyond full scale, clipped",)


def test_two_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[100, 300], [-32768, -30000]] * 400, np.int16), RATE)
    np.testing.assert_array_equal(read_audio(path).samples, [200, -31384] * 400)


def test_more_channels_are_refused(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((800, 3)), RATE)
    assert "found 3" in refusal(path)


def test_a_stretch_is_cut_out_at_its_samples(wav, samples):
    np.testing.assert_array_equal(read_audio(wav, 0.25, 0.5).samples, samples[4000:12000])
    np.testing.assert_array_equal(read_audio(wav, 0.9).samples, samples[14400:])


@pytest.mark.parametrize(
    ("over", "notes"), [(0.04, ()), (0.06, (CUT,)), (0.99, (CUT,)), (1.0, (CUT,))]
)
def test_a_stretch_may_pass_the_end_by_a_second_and_is_cut_there(wav, samples, over, notes):
    result = read_audio(wav, 0.5, 0.5 + over)
    np.testing.assert_array_equal(result.samples, samples[8000:])
    assert result.notes == notes


@pytest.mark.parametrize(
    ("start", "duration"),
    [
        *[(-0.1, None), (-0.1, 0.5), (1.01, None), (2.0, 0.5), (0.5, 1.51), (0.5, -0.1)],
        *[(math.nan, None), (0.0, math.nan), (math.inf, None), (0.0, math.inf)],
    ],
)
def test_a_stretch_outside_the_file_is_refused(wav, start, duration):
    assert "expected a stretch of its 1.00 s" in refusal(wav, start, duration)


def test_less_than_one_frame_is_refused(wav, tmp_path):
    assert len(read_audio(wav, 0.5, 0.025).samples) == 400
    assert "at least 0.025 s" in refusal(wav, 0.5, 0.0249)
    short = tmp_path / "short.wav"
    soundfile.write(short, np.zeros(399), RATE)
    assert "found 0.0249 s" in refusal(short)


def test_a_file_too_long_for_the_memory_is_refused_unread(tmp_path):
    path = tmp_path / "a.wav"
    size = 2 * RATE * 1200
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", size + 36, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16,
        b"data", size,
    )  # fmt: skip
    path.write_bytes(header)
    os.truncate(path, size + 44)
    assert "at most 600 s of audio, found 1200 s" in refusal(path)
    assert len(read_audio(path, 1100.0, 2.0).samples) == 2 * RATE


@pytest.mark.parametrize("keep", [44, 46, 200, 1000, 16000, 31000, 32042])
def test_a_wav_cut_short_is_refused(wav, keep):
    os.truncate(wav, keep)
    assert f"promises 32000 bytes of samples, found {keep - 44}" in refusal(wav)


@pytest.mark.parametrize("claim", [0, 2**31, 2**32 - 1])
def test_a_wav_whose_header_was_never_finished_is_refused(wav, claim):
    data = bytearray(wav.read_bytes())
    data[40:44] = struct.pack("<I", claim)
    wav.write_bytes(data)
    assert f"promises {claim} bytes of samples, found 32000" in refusal(wav)


def test_chunks_around_the_samples_are_skipped(wav, samples):
    data = wav.read_bytes()
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    wav.write_bytes(data[:36] + odd + data[36:] + odd)
    np.testing.assert_array_equal(read_audio(wav).samples, samples)
    os.truncate(wav, 30000)
    assert f"promises 32000 bytes of samples, found {30000 - 44 - 12}" in refusal(wav)


@pytest.mark.parametrize("suffix", ["flac", "mp3"])
def test_a_compressed_file_cut_short_is_refused(tmp_path, samples, suffix):
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, samples, RATE)
    os.truncate(path, path.stat().st_size // 2)
    assert str(path) in refusal(path)


def test_an_unsafe_codec_is_refused(tmp_path, samples):
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, RATE, subtype="IMA_ADPCM")
    assert "IMA ADPCM" in refusal(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "found an empty one"),
        (b"<!DOCTYPE html><html>not found</html>", "a failed download?"),
        (b"just some text\n" * 40, "cannot read as audio"),
        (b"RIFF\x10\0\0\0WAVE", "cannot read as audio"),
        (b"RIFF", "cannot read as audio"),
        (bytes(range(256)) * 20, "cannot read as audio"),
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "flac", "raw"])
def test_what_is_not_audio_is_refused(tmp_path, content, expected, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    assert expected in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "found nothing there" in refusal(tmp_path / "a.wav")
    assert "not a file" in refusal(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_refused_with_its_time(tmp_path, bad):
    values = np.zeros(RATE, np.float32)
    values[12000] = bad
    path = tmp_path / "a.wav"
    soundfile.write(path, values, RATE, subtype="FLOAT")
    assert "at 0.750 s" in refusal(path)
    assert "at 0.750 s" in refusal(path, 0.5)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_another_rate_is_refused_unless_it_is_to_be_converted(tmp_path, rate):
    path = tmp_path / "a.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate)
    assert f"expected 16000 Hz, found {rate} Hz; convert with --resample" in refusal(path)
    result = read_audio(path, resample=True).samples
    assert len(result) == RATE
    expected = 16384 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    # Away from the ends, where the filter sees the silence outside.
    assert np.abs(result - expected)[500:-500].max() < 0.01 * 16384
    assert abs(len(read_audio(path, 0.5, 0.25, resample=True).samples) - 4000) <= 1


# Channels of which one is empty.


@pytest.mark.parametrize("full", [0, 1])
def test_an_empty_channel_does_not_halve_the_other(tmp_path, samples, full):
    path = tmp_path / "a.wav"
    channels = np.zeros((len(samples), 2), np.int16)
    channels[:, full] = samples
    soundfile.write(path, channels, RATE)
    np.testing.assert_array_equal(read_audio(path).samples, samples)


def test_a_channel_below_half_a_step_of_16_bits_is_empty(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[0.5, 1e-5], [-0.5, -1e-5]] * 400), RATE, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path).samples, [16384, -16384] * 400)


@pytest.mark.parametrize("channels", [1, 2])
def test_silence_stays_silence(tmp_path, channels):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((800, channels), np.int16), RATE)
    result = read_audio(path)
    np.testing.assert_array_equal(result.samples, [0] * 800)
    assert result.notes == (SILENT,)


# Channels that cancel each other.


@pytest.mark.parametrize(
    ("factor", "stronger"), [(-1.0, 0), (-0.98, 0), (-0.98, 1), (-0.6, 0), (-0.6, 1)]
)
def test_of_two_channels_that_cancel_each_other_the_stronger_is_taken(tmp_path, factor, stronger):
    path = tmp_path / "a.wav"
    tone = 20000 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    channels = np.stack([tone, factor * tone], axis=1)[:, :: -1 if stronger else 1]
    soundfile.write(path, channels.astype(np.int16), RATE)
    samples, notes = read_audio(path)
    np.testing.assert_array_equal(samples, channels.astype(np.int16)[:, stronger])
    assert notes == (ONE_CHANNEL,)


def test_opposed_channels_are_known_by_their_sound_below_their_noise(tmp_path):
    """As Vorbis makes them of such ones; a mean of them is the noise alone."""
    path = tmp_path / "a.wav"
    left, right = noise(4) + noise(4, seed=1), noise(4, seed=2) - noise(4)
    channels = np.stack([left, right], axis=1)
    assert np.square(channels.mean(axis=1)).mean() > 0.2 * np.square(left / 1.0).mean()
    soundfile.write(path, channels, RATE)
    assert read_audio(path).notes == (ONE_CHANNEL,)


@pytest.mark.parametrize("faint", [1.0, 0.1])
def test_channels_of_different_sounds_are_averaged(tmp_path, faint):
    path = tmp_path / "a.wav"
    channels = np.stack([speech_like(4), (faint * noise(4) * 32767)], axis=1).astype(np.int16)
    soundfile.write(path, channels, RATE)
    samples, notes = read_audio(path)
    assert notes == ()
    np.testing.assert_array_equal(samples, np.rint(channels.mean(axis=1)))


def test_channels_with_sounds_of_their_own_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    channels = np.random.default_rng(0).normal(0, 2000, (RATE, 2)).astype(np.int16)
    channels[:, 1] //= 10
    soundfile.write(path, channels, RATE)
    samples, notes = read_audio(path)
    np.testing.assert_array_equal(samples, np.rint(channels.mean(axis=1)))
    assert notes == ()


# M4A.


def au(samples, rate):
    """What ffmpeg writes to a pipe, by hand: AU of unknown length, 16 bits, one channel."""
    header = struct.pack(">4sIIIII", b".snd", 24, 2**32 - 1, 3, rate, 1)
    return header + samples.astype(">i2").tobytes()


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """A program that notes what it is asked for, and says what stands in a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def says(content, code=0, error=""):
        (folder / "said").write_bytes(content)
        program = f'#!/bin/sh\nprintf "%s\\n" "$*" >> {folder}/asked\ncat {folder}/said\n'
        program += f"printf '%s' '{error}' >&2\nexit {code}\n"
        (folder / "ffmpeg").write_text(program)
        (folder / "ffmpeg").chmod(0o755)
        return folder / "asked"

    return says


def test_m4a_is_decoded_once_for_all_stretches(tmp_path, samples, ffmpeg):
    asked = ffmpeg(au(samples, RATE))
    path = tmp_path / "a b;c.m4a"
    path.write_bytes(b"anything")
    np.testing.assert_array_equal(read_audio(path).samples, samples)
    np.testing.assert_array_equal(read_audio(path, 0.25, 0.5).samples, samples[4000:12000])
    (call,) = asked.read_text().splitlines()
    assert f"-i file:{path} " in call
    assert "-f mov " in call
    assert "-protocol_whitelist file,pipe" in call


def test_m4a_that_was_replaced_is_decoded_again(tmp_path, samples, ffmpeg):
    ffmpeg(au(samples, RATE))
    path = tmp_path / "a.m4a"
    path.write_bytes(b"anything")
    read_audio(path)
    ffmpeg(au(samples[:800], RATE))
    os.utime(path, ns=(1, 1))
    assert len(read_audio(path).samples) == 800


def test_m4a_of_another_rate_is_converted_only_on_demand(tmp_path, ffmpeg):
    ffmpeg(au(np.zeros(44100, np.int16), 44100))
    path = tmp_path / "a.m4a"
    path.write_bytes(b"anything")
    assert "found 44100 Hz; convert with --resample" in refusal(path)
    assert len(read_audio(path, resample=True).samples) == RATE
    assert "expected a stretch of its 1.00 s" in refusal(path, 0.5, 1.6, resample=True)


@pytest.mark.parametrize(
    ("content", "code", "error", "expected"),
    [
        (b"", 1, "[mov @ 0x1] moov atom not found\nError\n", "(moov atom not found)"),
        (b"", 1, "", "ffmpeg cannot read it (no reason given); fetch it again"),
        (b"", 0, "", "cannot read as audio"),
        (b"<html>", 0, "", "cannot read as audio"),
    ],
)
def test_m4a_that_ffmpeg_cannot_read_is_refused(tmp_path, ffmpeg, content, code, error, expected):
    ffmpeg(content, code, error)
    path = tmp_path / "a.m4a"
    path.write_bytes(b"anything")
    assert expected in refusal(path)


def test_m4a_without_ffmpeg_is_refused_with_the_cure(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "a.m4a"
    path.write_bytes(b"anything")
    assert "needs ffmpeg, found none; install it" in refusal(path)


@pytest.fixture
def m4a(tmp_path):
    """A tone at 44.1 kHz, one of two channels empty, in AAC by the true ffmpeg."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("needs ffmpeg")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    soundfile.write(tmp_path / "a.wav", np.stack([0 * tone, tone], axis=1), 44100)
    path = tmp_path / "-a b.m4a"
    words = [program, "-v", "error", "-i", f"file:{tmp_path}/a.wav", "-b:a", "128k"]
    # The index comes first, so that what is left of a cut file can be played.
    subprocess.run([*words, "-movflags", "+faststart", f"file:{path}"], check=True)
    return path


def test_a_true_m4a_is_the_sound_it_was(m4a):
    result = read_audio(m4a, 0.25, 0.5, resample=True).samples
    spectrum = np.abs(np.fft.rfft(result / 32768))
    assert len(result) == 8000
    assert spectrum.argmax() * 2 == 440  # bins of 2 Hz
    assert spectrum.max() / 4000 == pytest.approx(0.5, abs=0.02)  # and not halved


@pytest.mark.parametrize("damage", ["cut", "html", "playlist", "empty"])
def test_a_true_ffmpeg_refuses_what_is_no_m4a(m4a, damage, tmp_path):
    content = {
        "cut": m4a.read_bytes()[: m4a.stat().st_size // 2],
        "html": b"<html>not found</html>",
        "playlist": f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/a.wav\n".encode(),
        "empty": b"",
    }[damage]
    m4a.write_bytes(content)
    expected = "found an empty one" if damage == "empty" else "ffmpeg cannot read it ("
    assert expected in refusal(m4a)
