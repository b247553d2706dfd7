import math
import shutil
import subprocess

import numpy as np
import pytest
from support.sounds import RATE, noise, sine, speech_like

from taskaware.config import SpecAugment
from taskaware.data.audio.augment import add_noise, echo, spec_augment, speed, tempo
from taskaware.data.audio.features import log_mel

soundfile = pytest.importorskip("soundfile")

# All of them.

CHANGES = {
    "speed": lambda samples: speed(samples, 1.04),
    "tempo": lambda samples: tempo(samples, 1.2),
    "echo": lambda samples: echo(samples, 50.0, 0.2),
    "add_noise": lambda samples: add_noise(samples, 10.0, np.random.default_rng(1)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_same_arguments_give_the_same_samples_and_are_left_as_they_were(change):
    samples = noise(0.7)
    samples.flags.writeable = False
    first = change(samples)
    assert first.dtype == np.int16
    np.testing.assert_array_equal(change(samples), first)
    assert not np.array_equal(first[: len(samples)], samples[: len(first)])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("count", [0, 1, 2, 399, 641])
def test_audio_of_any_length_can_be_changed(change, count):
    assert len(change(noise(1)[:count])) >= round(count / 1.2)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_silence_stays_silence(change):
    assert not change(np.zeros(5000, np.int16)).any()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_loudest_audio_is_clipped_and_does_not_turn_over(change):
    """A square wave of 100 Hz goes from one end to the other 200 times a second, and no more."""
    square = np.where(np.arange(RATE) // 80 % 2, 32767, -32768).astype(np.int16)
    changed = change(square).astype(int)
    assert {int(changed.min()), int(changed.max())} == {-32768, 32767}
    assert (np.abs(np.diff(changed)) > 60000).sum() <= 200  # from one end to the other


# Speed.


@pytest.mark.parametrize("factor", [0.95, 0.98765, 1.0, 1.0123, 1.05])
@pytest.mark.parametrize("hz", [100, 440, 3000])
def test_a_sine_is_played_faster_and_higher_by_the_factor(hz, factor):
    changed = speed(sine(hz, 2), factor)
    assert len(changed) == round(2 * RATE / factor)
    expected = sine(hz * factor, 3)[: len(changed)]
    # The whole is a number of samples, so its end may be half a sample from its place.
    late = 0.5 * 2 * np.pi * hz * factor / RATE * 10000
    # Away from the ends, where the sine breaks off.
    np.testing.assert_allclose(changed[800:-800], expected[800:-800], atol=late + 20)


def test_what_would_come_to_lie_above_8_khz_is_removed():
    assert np.abs(speed(sine(7900, 1), 1.05)[2000:-2000]).max() < 30  # of 10000


def test_the_end_does_not_come_round_to_the_beginning():
    samples = np.zeros(RATE, np.int16)
    samples[-200:] = 20000
    assert np.abs(speed(samples, 0.97)[:8000]).max() < 20000 / 400


# Tempo.


@pytest.mark.parametrize("factor", [0.85, 0.93, 1.1, 1.3])
@pytest.mark.parametrize("hz", [60, 100, 440, 3000])
def test_a_sine_keeps_its_pitch_and_height_whatever_the_tempo(hz, factor):
    """In each stretch of 0.1 s the best sine of that frequency leaves 5 % of its height over.

    Segments are moved by whole samples, half of one from the best place at most: at 440 Hz 9 %.
    """
    changed = tempo(sine(hz, 2), factor)
    assert len(changed) == round(2 * RATE / factor)
    phase = 2 * np.pi * hz * np.arange(1600) / RATE
    basis = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    for start in range(800, len(changed) - 2400, 1600):
        stretch = changed[start : start + 1600].astype(float)
        weight, *_ = np.linalg.lstsq(basis, stretch, rcond=None)
        assert np.hypot(*weight) == pytest.approx(10000, rel=0.02)
        assert np.abs(stretch - basis @ weight).max() < 500


@pytest.mark.parametrize("factor", [0.85, 1.1, 1.3])
def test_what_is_heard_at_a_time_is_heard_at_that_time_over_the_factor(factor):
    """Bursts of noise, 50 ms long; a segment may be 10 ms from its place."""
    samples = noise(4, 20)
    for begin in (0.5, 1.7, 3.1):
        samples[round(begin * RATE) :][:800] = noise(0.05, 5000)
    power = np.square(tempo(samples, factor).astype(float))
    for begin in (0.5, 1.7, 3.1):
        place = round(begin / factor * RATE)
        around = power[place - 1600 : place + 3200]
        center = (around * np.arange(len(around))).sum() / around.sum() - 1600
        assert center / RATE == pytest.approx(0.025 / factor, abs=0.01 + 0.005)


FADED_IN = (sine(100, 0.6) * np.linspace(0, 1, 9600)).astype(np.int16)


@pytest.mark.parametrize("samples", [noise(0.6), sine(100, 0.6), FADED_IN, noise(0.01)])
def test_a_factor_of_1_leaves_audio_as_it_is(samples):
    np.testing.assert_array_equal(tempo(samples, 1.0), samples)
    np.testing.assert_array_equal(speed(samples, 1.0), samples)


def wsola_in_loops(samples, factor):
    """Verhelst and Roelands' rule, a segment at a time; silence lies around the samples."""
    around = 4000
    signal = np.zeros(len(samples) + 2 * around)
    signal[around:-around] = samples
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / 640) for i in range(640)]
    output = np.zeros(2 * len(samples) + 2000)
    begin = None
    for k in range(round(len(samples) / factor) // 320 + 2):
        place = around + round(k * 320 * factor) - 320
        if begin is not None:
            natural = signal[begin + 320 : begin + 960]

            def likeness(start, natural=natural):
                segment = signal[start : start + 640]
                return (segment @ natural) / math.sqrt(segment @ segment + 1)

            begin = max(range(place - 160, place + 161), key=likeness)
        else:
            begin = place
        for i in range(640):
            output[k * 320 + i] += window[i] * signal[begin + i]
    return output[320 : 320 + round(len(samples) / factor)]


@pytest.mark.parametrize("factor", [0.85, 1.07, 1.3])
def test_tempo_is_wsola_as_a_loop_over_its_rule(factor):
    samples = noise(0.7) + sine(150, 0.7, 3000)
    expected = wsola_in_loops(samples, factor)
    np.testing.assert_allclose(tempo(samples, factor), expected, atol=0.51)


# Echo.


@pytest.mark.parametrize(
    ("delay_ms", "decay", "place", "height"),
    [
        (20.0, 0.05, 320, 500),
        (200.0, 0.2, 3200, 2000),
        (123.4567, 0.1337, 1975, 1337),
        (0.0625, 1.0, 1, 10000),
    ],
)
def test_an_impulse_comes_again_after_the_delay_with_the_decay_s_height(
    delay_ms, decay, place, height
):
    impulse = np.zeros(1000, np.int16)
    impulse[100] = 10000
    found = echo(impulse, delay_ms, decay)
    assert len(found) == 1000 + place
    assert {int(i): int(found[i]) for i in np.flatnonzero(found)} == {
        100: 10000,
        100 + place: height,
    }


def test_an_echo_without_delay_is_the_sound_made_louder():
    np.testing.assert_array_equal(echo(np.array([100, -50], np.int16), 0.0, 0.5), [150, -75])


# Noise.


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.5, 20.0])
def test_speech_is_above_the_noise_by_the_ratio_over_the_utterance(snr_db):
    samples = speech_like(1)
    added = add_noise(samples, snr_db, np.random.default_rng(3)).astype(float) - samples
    ratio = np.square(samples.astype(float)).sum() / np.square(added).sum()
    # Rounding adds 1/12 to a power of thousands.
    assert 10 * math.log10(ratio) == pytest.approx(snr_db, abs=0.001)


def test_the_noise_is_white_and_another_one_from_another_generator():
    samples = np.full(RATE, 1000, np.int16)
    one, two = (add_noise(samples, 0.0, np.random.default_rng(seed)) for seed in (1, 2))
    assert not np.array_equal(one, two)
    power = np.abs(np.fft.rfft(one.astype(float) - samples)) ** 2
    eighths = np.array([part.mean() for part in np.array_split(power[1:], 8)])
    assert eighths.max() / eighths.min() < 1.3  # 1000 bins each: the mean's deviation is 3 %


# SpecAugment.

FRAMES = np.random.default_rng(5).normal(0, 1, (150, 80)).astype(np.float32)
FRAMES[FRAMES == 0] = 1


def runs(flags):
    """The lengths of all runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags, [0]])))
    return (edges[1::2] - edges[::2]).tolist()


def masked(config, frames=FRAMES, times=300):
    """The channels and the frames that each of many draws has put to zero."""
    rng = np.random.default_rng(0)
    for _ in range(times):
        zero = spec_augment(frames, config, rng) == 0
        yield zero.all(axis=0), zero.all(axis=1), zero


@pytest.mark.parametrize("count", [1, 2, 3])
def test_at_most_so_many_bands_of_channels_are_masked_and_at_most_so_wide(count):
    config = SpecAugment(frequency_masks=count, frequency_width=6)
    widths = []
    for channels, _, zero in masked(config):
        np.testing.assert_array_equal(zero, np.broadcast_to(channels, zero.shape))
        assert len(runs(channels)) <= count
        assert channels.sum() <= 6 * count
        widths.append(runs(channels))
    assert max(map(len, widths)) == count
    if count == 1:  # Of one band, every width comes, and as often.
        found = np.bincount([sum(width) for width in widths], minlength=7)
        assert (found > 20).all()
        assert len(found) == 7


@pytest.mark.parametrize(
    ("width", "share", "longest"), [(10, 1.0, 10), (70, 0.1, 15), (1000, 1.0, 150), (70, 0.001, 0)]
)
def test_stretches_of_time_are_bounded_by_frames_and_by_the_share(width, share, longest):
    config = SpecAugment(time_masks=1, time_width=width, time_share=share)
    found = []
    for _, frames, zero in masked(config, times=2000):
        np.testing.assert_array_equal(zero, np.broadcast_to(frames[:, None], zero.shape))
        assert len(runs(frames)) <= 1
        found.append(int(frames.sum()))
    assert (min(found), max(found)) == (0, longest)


def test_masks_reach_the_first_and_the_last_channel_and_frame():
    config = SpecAugment(frequency_masks=1, frequency_width=40, time_masks=1, time_width=30)
    drawn = list(masked(config))
    for axis in (0, 1):
        assert np.any([draw[axis] for draw in drawn], axis=0).all()


def test_what_is_not_masked_is_untouched_and_so_are_the_frames_given():
    config = SpecAugment(frequency_masks=2, time_masks=2)
    before = FRAMES.copy()
    found = spec_augment(FRAMES, config, np.random.default_rng(2))
    np.testing.assert_array_equal(FRAMES, before)
    channels, frames = (found == 0).all(axis=0), (found == 0).all(axis=1)
    assert channels.any()
    assert frames.any()
    kept = np.ix_(~frames, ~channels)
    np.testing.assert_array_equal(found[kept], FRAMES[kept])
    np.testing.assert_array_equal(found == 0, frames[:, None] | channels)


def test_without_masks_nothing_changes_and_nothing_is_drawn():
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(spec_augment(FRAMES, SpecAugment(), rng), FRAMES)
    assert rng.random() == np.random.default_rng(7).random()


@pytest.mark.parametrize("shape", [(1, 80), (2, 3), (0, 80)])
def test_masks_wider_than_the_frames_are_no_mistake(shape):
    config = SpecAugment(frequency_masks=3, time_masks=3, time_width=9, time_share=1.0)
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert spec_augment(np.ones(shape, np.float32), config, rng).shape == shape


# Against sox.


@pytest.fixture
def sox(tmp_path):
    """A function: samples through an effect of sox, without dither."""
    if shutil.which("sox") is None:
        pytest.skip("needs the program sox (Debian package sox)")

    def run(samples, *effect):
        given, made = tmp_path / "given.wav", tmp_path / "made.wav"
        soundfile.write(given, samples, RATE, subtype="PCM_16")
        command = ["sox", "-D", given, made, *map(str, effect)]
        subprocess.run(command, check=True, capture_output=True)
        return soundfile.read(made, dtype="int16")[0]

    return run


@pytest.fixture(params=["speech-like", "librispeech"])
def speech(request):
    """A signal that is always there, and real speech where there is some."""
    if request.param == "speech-like":
        return speech_like(4)
    folder = request.getfixturevalue("shared_data") / "librispeech_sample"
    files = sorted(folder.rglob("*.flac"))
    if not files:
        pytest.skip("needs ../shared/data/librispeech_sample")
    return soundfile.read(files[0], dtype="int16")[0][: 8 * RATE]


def distance(one, two, channels=80):
    """The mean difference of log-mel energies, frame by frame."""
    size = min(len(one), len(two))
    return np.abs(log_mel(one[:size]) - log_mel(two[:size]))[:, :channels].mean()


@pytest.mark.parametrize("delay_ms", [20.0, 33.3, 123.4567, 199.99])
@pytest.mark.parametrize("decay", [0.05, 0.1337, 0.2])
def test_an_echo_is_that_of_sox_but_for_the_last_bit(sox, delay_ms, decay):
    """Sox rounds halves up and not to even: with 0.05, a half is a sample in twenty."""
    samples = noise(0.5, 8000)
    samples[1000:1100] = 32767  # clipped, if the echo falls on it
    found, expected = echo(samples, delay_ms, decay), sox(samples, "echo", 1, 1, delay_ms, decay)
    assert len(found) == len(expected)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.95


@pytest.mark.parametrize("factor", [0.95, 0.9731, 1.0371, 1.05])
def test_speed_is_that_of_sox_but_for_the_filter_s_edge(sox, speech, factor):
    """Sox lets its low-pass filter begin below the limit, at about 95 % of it, hence 70 channels.

    Within them two resamplers differ by their roundings to 16 bits, which are heard in quiet
    frames alone: 0.05 of the natural logarithm is 0.2 dB. Half a percent too fast is 10 times that.
    """
    found, expected = speed(speech, factor), sox(speech, "speed", factor)
    assert abs(len(found) - len(expected)) <= 1
    assert distance(found, expected, channels=70) < 0.05
    assert distance(found, sox(speech, "speed", factor * 1.005), channels=70) > 0.5


@pytest.mark.parametrize("factor", [0.85, 0.93, 1.1, 1.3])
def test_tempo_is_that_of_sox_as_nearly_as_sox_s_own_settings_are_of_each_other(
    sox, speech, factor
):
    """Where segments are cut is a choice, and no two of sox's settings (-s, -m, none) agree on it.

    So ours may be as far from the one for speech as the others are from it, and a quarter more; a
    factor wrong by 2 %, or a changed pitch, is farther than that.
    """
    ours = tempo(speech, factor)
    theirs = [sox(speech, "tempo", *setting, factor) for setting in (["-s"], ["-m"], [])]
    assert {abs(len(ours) - len(other)) for other in theirs} <= {0, 1}
    allowed = 1.25 * max(distance(theirs[0], other) for other in theirs[1:])
    assert distance(ours, theirs[0]) < allowed
    assert distance(tempo(speech, factor * 1.02), theirs[0]) > allowed
    assert distance(speed(speech, factor), theirs[0]) > allowed
