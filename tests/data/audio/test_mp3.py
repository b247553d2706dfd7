"""MP3 whose number of frames no header tells, or another than there are."""

import numpy as np
import pytest
from support.sounds import RATE, noise, speech_like

from taskaware.errors import UsageError

soundfile = pytest.importorskip("soundfile")
from taskaware.data.audio.recording import read_audio  # noqa: E402

FRAME = 576
"""Samples of a frame of MPEG 2, layer III."""
DELAY = 576 + 529
"""Samples that LAME, by its own header, and every decoder add before the first."""


def sound():
    """Four seconds of speech, of which one is a pause: its frames differ much in size."""
    samples = speech_like(4)
    samples[20000:36000] = 0
    return samples


def mp3(path, samples, mode="VARIABLE", rate=RATE):
    """Write an MP3; return its first frame, which tells their number, that number, and the rest."""
    with soundfile.SoundFile(
        path, "w", rate, 1, format="MP3", bitrate_mode=mode, compression_level=0.4
    ) as file:
        file.write(samples)
    data = path.read_bytes()
    at = max(data.find(b"Xing"), data.find(b"Info"))
    assert 0 < at < 40 and data[:2] == b"\xff\xf3"
    number = int.from_bytes(data[at + 8 : at + 12], "big")
    second = data.index(data[:2], 48)
    return data[:second], number, data[second:]


def refusal(path, *args):
    with pytest.raises(UsageError) as error:
        read_audio(path, *args)
    message = str(error.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.mp3"


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_frames_that_nothing_counts_are_read_to_the_last(path, mode):
    _, number, frames = mp3(path, sound(), mode)
    counted, _ = soundfile.read(path, dtype="float32")
    path.write_bytes(frames)
    samples = read_audio(path).samples
    assert len(samples) == number * FRAME
    # What libsndfile itself reads where the number is told, and the delay left out.
    found = samples[DELAY : DELAY + len(counted)].astype(float)
    assert np.abs(found - counted * 32768).max() < 1


def test_a_file_that_tells_its_length_has_that_length(path):
    mp3(path, sound())
    samples = read_audio(path).samples
    expected, _ = soundfile.read(path, dtype="float32")
    assert len(samples) == len(expected) == 4 * RATE
    assert np.abs(samples - expected * 32768).max() < 1


@pytest.mark.parametrize("told", [False, True])
def test_files_that_were_joined_are_read_both(path, told):
    first, number, frames = mp3(path, sound())
    one = (first if told else b"") + frames
    path.write_bytes(one + one)
    samples = read_audio(path).samples
    added = (number + 1 + number) * FRAME - DELAY if told else 2 * number * FRAME
    assert len(samples) == added
    # The pause, which is second 1.25 to 2.25 of each.
    pauses = [
        (DELAY if not told else 0) + 20000,
        (number + told) * FRAME + DELAY + 20000 - told * DELAY,
    ]
    for at in pauses:
        assert np.abs(samples[at + 2000 : at + 14000]).max() < 60
        assert np.abs(samples[at - 6000 : at]).max() > 1000


ID3 = b"ID3\4\0\0\0\0\1\0" + bytes(128)
APE = b"APETAGEX" + (2000).to_bytes(4, "little") + (40).to_bytes(4, "little") + bytes(16)


def test_tags_before_between_and_behind_are_no_frames(path):
    _, number, frames = mp3(path, noise(1), "CONSTANT")
    path.write_bytes(frames)
    plain = read_audio(path).samples
    path.write_bytes(ID3 + frames + APE + bytes(40) + b"TAG" + bytes(125))
    np.testing.assert_array_equal(read_audio(path).samples, plain)
    path.write_bytes(ID3 + frames + ID3 + frames)
    assert len(read_audio(path).samples) == 2 * number * FRAME


def test_a_file_that_ends_within_a_frame_was_cut(path):
    first, _, frames = mp3(path, sound())
    for whole in (first + frames, frames):
        path.write_bytes(whole[: len(whole) // 2])
        assert "cut short" in refusal(path)


def test_a_file_with_fewer_frames_than_it_tells_was_cut(path):
    first, number, frames = mp3(path, noise(1), "CONSTANT")
    size = len(frames) // number
    path.write_bytes(first + frames[: 10 * size])
    assert f"promises {number} frames, found 10" in refusal(path)


def test_frames_lost_in_the_middle_are_told(path):
    _, _, frames = mp3(path, sound())
    middle = len(frames) // 2
    path.write_bytes(frames[:middle] + frames[middle + 1000 :])
    assert "damaged, or joined" in refusal(path)


def test_another_rate_after_the_first_is_told(path):
    _, _, frames = mp3(path, noise(1))
    _, _, others = mp3(path, noise(1), rate=24000)
    path.write_bytes(frames + others)
    assert f"expected a frame at byte {len(frames)}, found" in refusal(path)


def test_a_stretch_is_what_the_whole_has_there(path):
    first, _, frames = mp3(path, sound())
    for content in (first + frames, frames):
        path.write_bytes(content)
        whole = read_audio(path).samples.astype(int)
        for start, duration in [(0.0, 0.1), (0.01, 0.5), (1.0, 2.0), (2.2, 0.3), (3.5, 0.5)]:
            part = read_audio(path, start, duration).samples
            expected = whole[round(start * RATE) :][: len(part)]
            assert len(part) == round(duration * RATE)
            assert np.abs(part - expected).max() <= 1


def test_a_file_of_twenty_minutes_is_read_in_parts(path):
    _, number, frames = mp3(path, sound())
    path.write_bytes(frames * 300)
    seconds = 300 * number * FRAME / RATE
    assert f"at most 600 s of audio, found {seconds:.0f} s" in refusal(path)
    period = number * FRAME / RATE
    early, late = (read_audio(path, copies * period, 3.0).samples for copies in (1, 299))
    assert np.abs(early.astype(int) - late).max() <= 1


def test_layer_two_is_read_to_its_end(path):
    header = bytes([0xFF, 0xF5, 0x48, 0xC0])  # MPEG 2, layer II, 32 kbit/s, 16 kHz, one channel
    frame = header + bytes(144 * 32000 // RATE - 4)
    path.write_bytes(frame * 30)
    samples, notes = read_audio(path)
    np.testing.assert_array_equal(samples, np.zeros(30 * 1152))
    assert notes == ("silence: all samples are 0",)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xf1\x50\x80\x2e\x7f\xfc" + bytes(3000), "it is AAC; convert it: ffmpeg"),
        (b"\xff\xfb\x00\xc0" + bytes(3000), "a free bit rate; convert it: ffmpeg"),
        ("\ufeffsome text in UTF-16".encode("utf-16-le"), "no frames of MP3 follow"),
    ],
)
def test_what_begins_like_mp3_is_named(path, content, expected):
    path.write_bytes(content)
    assert expected in refusal(path)
