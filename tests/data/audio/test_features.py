import math

import numpy as np
import pytest
from support.sounds import RATE, noise, speech_like

from taskaware.data.audio.features import log_mel, normalize, num_frames


@pytest.mark.parametrize(
    "audio",
    [noise(3, 3000), noise(3, 20), noise(3, 3000) + np.int16(900), speech_like(3)],
    ids=["noise", "faint noise", "offset", "speech-like"],
)
def test_frames_equal_those_of_kaldi(audio):
    knf = pytest.importorskip("kaldi_native_fbank")
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 80
    peer = knf.OnlineFbank(options)
    peer.accept_waveform(RATE, audio.astype(np.float32))
    peer.input_finished()
    expected = np.stack([peer.get_frame(i) for i in range(peer.num_frames_ready)])
    frames = log_mel(audio)
    assert frames.shape == expected.shape == (298, 80)
    np.testing.assert_allclose(frames, expected, atol=1e-3, rtol=0)


def frame_in_loops(samples):
    """Kaldi's definition of one frame, a number at a time."""
    mean = sum(samples) / 400
    centered = [s - mean for s in samples]
    shaped = [c - 0.97 * centered[max(i - 1, 0)] for i, c in enumerate(centered)]
    window = [(0.5 - 0.5 * math.cos(2 * math.pi * i / 399)) ** 0.85 for i in range(400)]
    signal = [s * w for s, w in zip(shaped, window, strict=True)]

    def mel(hz):
        return 1127 * math.log(1 + hz / 700)

    width = (mel(8000) - mel(20)) / 81
    energies = [0.0] * 80
    for k in range(256):
        real = sum(s * math.cos(2 * math.pi * k * i / 512) for i, s in enumerate(signal))
        imag = sum(s * math.sin(2 * math.pi * k * i / 512) for i, s in enumerate(signal))
        place = (mel(k * RATE / 512) - mel(20)) / width
        for channel in range(80):
            energies[channel] += max(0, 1 - abs(place - channel - 1)) * (real**2 + imag**2)
    return [math.log(max(energy, 2**-23)) for energy in energies]


def test_a_frame_equals_its_definition_in_plain_loops():
    audio = speech_like(0.2)
    expected = frame_in_loops([int(s) for s in audio[7 * 160 :][:400]])
    np.testing.assert_allclose(log_mel(audio)[7], expected, atol=2e-4, rtol=0)


# Channel c has its peak at 31.75 + 34.67 (c + 1) mel, and mel = 1127 ln(1 + f / 700):
# 440 Hz are 549.6 mel, 1000 Hz 1000.0 mel, 4000 Hz 2146.1 mel.
@pytest.mark.parametrize(("hz", "channel"), [(440, 14), (1000, 27), (4000, 60)])
def test_a_sine_is_loudest_in_the_channel_around_its_frequency(hz, channel):
    sine = 8000 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
    assert (log_mel(sine.astype(np.int16)).argmax(axis=1) == channel).all()


@pytest.mark.parametrize(
    ("samples", "frames"),
    [
        (0, 0),
        (1, 0),
        (399, 0),
        (400, 1),
        (559, 1),
        (560, 2),
        (16000, 98),
        (41359, 256),
        (41360, 257),
    ],
)
def test_only_whole_frames_count(samples, frames):
    assert num_frames(samples) == frames
    assert log_mel(noise(3, 100)[:samples]).shape == (frames, 80)


def test_a_frame_depends_on_its_own_samples_alone():
    audio = noise(8, 3000)
    frames = log_mel(audio)
    for i in (0, 1, 255, 256, 257, 600, 797):
        alone = log_mel(audio[i * 160 : i * 160 + 400])
        np.testing.assert_allclose(frames[i : i + 1], alone, atol=1e-3)


@pytest.mark.parametrize("level", [0, 1, -32768, 32767])
def test_a_constant_signal_is_silence_and_silence_is_the_floor(level):
    frames = log_mel(np.full(RATE, level, np.int16))
    np.testing.assert_allclose(frames, math.log(2**-23), rtol=1e-6)


def test_the_loudest_signal_stays_finite():
    square = np.where(np.arange(RATE) // 8 % 2, 32767, -32768).astype(np.int16)
    assert np.isfinite(log_mel(square)).all()


def test_the_samples_are_left_as_they_were():
    audio = noise(1, 3000)
    before = audio.copy()
    log_mel(audio)
    np.testing.assert_array_equal(audio, before)


def test_normalized_channels_have_mean_0_and_deviation_1():
    frames = np.random.default_rng(0).normal(-9, 3, (4000, 80)).astype(np.float32)
    result = normalize(frames)
    exact = frames.astype(np.float64)
    expected = (exact - exact.mean(axis=0)) / exact.std(axis=0)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_constant_channel_stays_finite_and_near_0():
    frames = np.random.default_rng(0).normal(-9, 3, (3001, 80)).astype(np.float32)
    frames[:, 70:] = math.log(2**-23)
    result = normalize(frames)
    assert np.abs(result[:, 70:]).max() < 0.01
    np.testing.assert_allclose(result[:, :70].std(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("count", [0, 1])
def test_no_frames_or_one_can_be_normalized(count):
    frames = np.full((count, 80), -3, np.float32)
    np.testing.assert_array_equal(normalize(frames), np.zeros((count, 80)))
