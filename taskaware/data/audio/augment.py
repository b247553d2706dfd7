"""Augmentation of training speech: of the audio once, and of the frames in each batch.

The paper augments audio with sox (§6.1.1), drawing parameters from the ranges ``SPEED`` to
``ECHO_DECAY``; these functions do what sox's effects of the same names do. All audio is 16 kHz, and
all results depend on the arguments alone, the state of a generator included.
"""

from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from taskaware.config import SpecAugment
from taskaware.data.audio.features import SAMPLE_RATE

SPEED = (0.95, 1.05)
TEMPO = (0.85, 1.3)
ECHO_DELAY = (20.0, 200.0)
"""Milliseconds."""
ECHO_DECAY = (0.05, 0.2)
"""The ranges from which the paper draws parameters, uniformly (§6.1.1)."""

_HOP = 320
"""Samples from one segment of the output to the next: 20 ms, and segments are twice as long."""
_WINDOW = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * _HOP, dtype=np.float32) / _HOP)
"""Hann's window, whose halves add up to 1."""
_SEARCH = 160
"""Samples by which a segment may be moved either way: 20 ms in all, a period of any voice above
50 Hz.
"""
_SILENCE = 400
"""Samples between the end of audio and its beginning, which the Fourier transform joins."""


def speed(samples_A: Int16[np.ndarray, " A"], factor: float) -> Int16[np.ndarray, " changed"]:
    """Play audio faster or slower: the duration is divided by the factor, the pitch multiplied.

    Audio is resampled in the frequency domain, so what would end up above 8 kHz is removed. The
    number of samples is rounded, so the factor is exact to half a sample over the utterance.

    Args:
        samples_A: mono.
        factor: more than 0; above 1 is faster and higher.

    Returns:
        round(A / factor) samples.

    Example:
        >>> len(speed(np.zeros(16000, np.int16), 1.05))
        15238

    Source: sox's effect of that name, which resamples with a finite filter instead.
    """
    import scipy.signal  # takes a second, which commands without augmentation need not wait

    signal = np.pad(samples_A.astype(np.float32), (0, _SILENCE))
    resampled: Any = scipy.signal.resample(signal, round(len(signal) / factor))
    return _int16(resampled[: round(len(samples_A) / factor)])


def tempo(samples_A: Int16[np.ndarray, " A"], factor: float) -> Int16[np.ndarray, " changed"]:
    """Speak faster or slower at the same pitch: the duration is divided by the factor.

    WSOLA: the output is a sum of Hann-windowed segments of the input, 40 ms long and 20 ms apart.
    Each is taken up to 10 ms from where the factor puts it, at the position most similar to the
    continuation of its predecessor, by normalized cross-correlation.

    Args:
        samples_A: mono.
        factor: more than 0; above 1 is faster.

    Returns:
        round(A / factor) samples.

    Source: Verhelst and Roelands 1993, An overlap-add technique based on waveform similarity
    (WSOLA); sox's ``tempo`` is of the same family, with rectangular segments and short cross-fades.
    """
    if factor == 1.0:
        return samples_A.copy()
    length = 2 * _HOP
    size = round(len(samples_A) / factor)
    # Segment k is centered at sample k · _HOP of the output, hence at this sample of the input.
    middle = np.rint(np.arange(size // _HOP + 2) * _HOP * factor).astype(int).tolist()
    # With that much silence before it, the k-th search begins at sample middle[k] of the signal.
    before = _HOP + _SEARCH
    after = max(0, middle[-1] - len(samples_A)) + _SEARCH + 2 * length
    signal = np.pad(samples_A.astype(np.float32), (before, after))
    energy = np.concatenate([[0.0], np.cumsum(np.square(signal, dtype=np.float64))])
    norm = np.sqrt(energy[length:] - energy[:-length] + 1.0).astype(np.float32)
    starts = []
    follows = _SEARCH  # the position of the first segment itself
    for first in middle:
        continuation = signal[follows : follows + length]
        region = signal[first : first + 2 * _SEARCH + length]
        likeness = np.correlate(region, continuation) / norm[first : first + 2 * _SEARCH + 1]
        starts.append(first + int(likeness.argmax()))
        follows = starts[-1] + _HOP
    segments = signal[np.add.outer(starts, np.arange(length))]
    segments *= _WINDOW
    summed = segments[:-1, _HOP:] + segments[1:, :_HOP]
    return _int16(summed.reshape(-1)[:size])


def echo(
    samples_A: Int16[np.ndarray, " A"], delay_ms: float, decay: float
) -> Int16[np.ndarray, " changed"]:
    """Add one echo: y[n] = x[n] + decay · x[n - delay], clipped to 16 bits.

    Args:
        samples_A: mono.
        delay_ms: milliseconds until the echo, cut to whole samples.
        decay: the echo's gain. The gains of the direct sound and of the sum are 1.

    Returns:
        The sum, longer by the delay: the end of the echo is included.

    Example:
        >>> echo(np.array([1000, -200], np.int16), 0.125, 0.1).tolist()
        [1000, -200, 100, -20]

    Source: sox's ``echo 1 1 DELAY DECAY``. The paper names delay and decay and no gains.
    """
    delay = int(delay_ms * SAMPLE_RATE / 1000)
    signal = np.pad(samples_A.astype(np.float32), (0, delay))
    signal[delay:] += np.float32(decay) * samples_A
    return _int16(signal)


def add_noise(
    samples_A: Int16[np.ndarray, " A"], snr_db: float, rng: np.random.Generator
) -> Int16[np.ndarray, " A"]:
    """Add white Gaussian noise at a signal-to-noise ratio over the whole utterance.

    The noise is scaled to exactly that power, before the sum is rounded and clipped to 16 bits.
    Digital silence is returned as it is, since no noise has a ratio to it.

    Args:
        samples_A: mono.
        snr_db: 10 · log10 of the ratio of the speech's power to the noise's.
        rng: generates the noise.
    """
    if not samples_A.any():
        return samples_A.copy()
    signal = samples_A.astype(np.float64)
    noise = rng.standard_normal(len(signal))
    gain = np.sqrt((signal @ signal) / (noise @ noise) / 10 ** (snr_db / 10))
    return _int16(signal + gain * noise)


def spec_augment(
    frames: Float32[np.ndarray, "frames C"], config: SpecAugment, rng: np.random.Generator
) -> Float32[np.ndarray, "frames C"]:
    """Return frames with some bands of channels and stretches of time set to 0, their mean.

    Each mask's width is uniform from 0 to its bound, and its position uniform among those where it
    fits. Masks may overlap.

    Args:
        frames: all normalized frames of one utterance, without padding; not changed.
        config: how many masks there are and how wide they may be.
        rng: what widths and places are drawn from.

    Source: Park et al. 2019, SpecAugment, §2, without its time warping, by which it gains least
    (its §5), and with every place equally likely, the last one included.
    """
    masked = frames.copy()
    length, channels = frames.shape
    for _ in range(config.frequency_masks):
        masked[:, _band(channels, config.frequency_width, rng)] = 0.0
    widest = min(config.time_width, int(config.time_share * length))
    for _ in range(config.time_masks):
        masked[_band(length, widest, rng)] = 0.0
    return masked


def _band(size: int, widest: int, rng: np.random.Generator) -> slice:
    width = int(rng.integers(min(widest, size) + 1))
    start = int(rng.integers(size - width + 1))
    return slice(start, start + width)


def _int16(signal: np.ndarray) -> Int16[np.ndarray, " A"]:
    return np.rint(signal).clip(-32768, 32767).astype(np.int16)
