"""Log-mel filterbank features, equal to Kaldi's."""

from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from jaxtyping import Float, Float32, Int16
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from taskaware.dims import FRAMES_PER_SECOND, MEL_CHANNELS

SAMPLE_RATE = 16000
WINDOW = 400
"""Samples per frame: 25 ms."""
SHIFT = SAMPLE_RATE // FRAMES_PER_SECOND
"""Samples from one frame to the next: 10 ms."""

_FULL_SCALE = 32768
_MOST_CLIPPED = 0.01
"""Share of the samples that may exceed full scale, as resampling and decoding make some do."""
_FFT = 512
_PRE_EMPHASIS = np.float32(0.97)
_LOWEST_HZ, _HIGHEST_HZ = 20.0, SAMPLE_RATE / 2
_EPSILON = np.finfo(np.float32).eps
_STD_FLOOR = 1e-3
_BLOCK = 96
"""Frames computed at a time: intermediate arrays stay in the processor's cache, and every product
stays below the 2**18 multiplications above which OpenBLAS uses threads. These would wait for cores
on which the model trains, 17 times as long as the product itself takes.
"""
_BAND = 20
"""Channels computed at a time: neighbors depend on few of all bins, so four products do less."""
_SPAN = 80
"""The greatest common divisor of WINDOW and SHIFT: a frame's sum is the sum of five span sums."""


def _mel(hz):
    return 1127.0 * np.log1p(hz / 700.0)


def _povey_window() -> np.ndarray:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    return (hann**0.85).astype(np.float32)


def _filterbank() -> np.ndarray:
    """Return triangles of equal width in mel, one per column; the Nyquist bin is in none."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), MEL_CHANNELS + 2)
    bins = _mel(np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[-1] = 0.0
    return weights.astype(np.float32)


def _bands() -> list[tuple[slice, slice, np.ndarray]]:
    """Return, for each band of channels, the bins it depends on, the channels, their triangles."""
    weights, bands = _filterbank(), []
    for first in range(0, MEL_CHANNELS, _BAND):
        channels = slice(first, first + _BAND)
        used = np.flatnonzero(weights[:, channels].any(axis=1))
        bins = slice(int(used[0]), int(used[-1]) + 1)
        bands.append((bins, channels, weights[bins, channels].copy()))
    return bands


_POVEY, _BANDS = _povey_window(), _bands()


def num_frames(num_samples: int) -> int:
    """Return how many frames fit wholly into so many samples.

    Example:
        >>> num_frames(399), num_frames(400), num_frames(16000)
        (0, 1, 98)
    """
    return 0 if num_samples < WINDOW else 1 + (num_samples - WINDOW) // SHIFT


class Scaled(NamedTuple):
    """16-bit samples that were floats."""

    samples: Int16[np.ndarray, " A"]
    peak: float
    """The largest magnitude of the floats, where 1 is full scale."""
    clipped: float
    """Share of them beyond full scale."""

    @property
    def fault(self) -> str:
        """The sign that the floats were in a wrong scale; "" if there is none."""
        if 0 < self.peak <= 1 / _FULL_SCALE:
            return (
                "expected sound, found nothing above one step of 16 bits, though it has samples of"
                f" up to {self.peak:.2g} of full scale"
            )
        if self.clipped > _MOST_CLIPPED:
            return (
                f"expected values from -1 to 1, found up to {self.peak:,.5g}, so that"
                f" {self.clipped:.0%} of them would be clipped"
            )
        return ""


def to_int16(signal_A: Float[np.ndarray, " A"]) -> Scaled:
    """Convert finite floats, where 1 is full scale, to 16 bits: rounded and clipped."""
    peak = float(max(signal_A.max(), -signal_A.min()))
    with np.errstate(over="ignore"):  # overflow to infinity is clipped, and counted
        scaled_A = np.asarray(signal_A, np.float32) * np.float32(_FULL_SCALE)
    np.rint(scaled_A, out=scaled_A)
    clipped = float(np.mean(np.abs(scaled_A) > _FULL_SCALE)) if peak > 1 else 0.0
    np.clip(scaled_A, -_FULL_SCALE, _FULL_SCALE - 1, out=scaled_A)
    return Scaled(scaled_A.astype(np.int16), peak, clipped)


def log_mel(samples_A: Int16[np.ndarray, " A"]) -> Float32[np.ndarray, "frames C"]:
    """Return the log-mel energies of speech every 10 ms, as Kaldi computes them without dither.

    For each 25 ms frame: subtract the mean, pre-emphasize (0.97), apply the Povey window, take the
    power spectrum (FFT of 512), sum it under 80 triangles between 20 Hz and 8 kHz, take the
    natural logarithm, no lower than that of float32's epsilon.

    Args:
        samples_A: 16 kHz, mono.

    Returns:
        ``num_frames(len(samples_A))`` rows; none if the audio is shorter than one frame.

    Source: Kaldi, feat/feature-fbank.cc, feature-window.cc and mel-computations.cc
    (--snip-edges=true --dither=0 --num-mel-bins=80, all else at its default).
    """
    frames = np.empty((num_frames(len(samples_A)), MEL_CHANNELS), np.float32)
    for first in range(0, len(frames), _BLOCK):
        out = frames[first : first + _BLOCK]
        begin = first * SHIFT
        end = begin + (len(out) - 1) * SHIFT + WINDOW
        power = _power(samples_A[begin:end].astype(np.float32))
        for bins, channels, weights in _BANDS:
            np.matmul(power[:, bins], weights, out=out[:, channels])
        np.maximum(out, _EPSILON, out=out)
        np.log(out, out=out)
    return frames


def _power(signal: np.ndarray) -> np.ndarray:
    """Return the power spectrum of each frame of a signal that begins and ends with a frame."""
    signal -= np.rint(signal.mean())  # exact, and keeps a large offset from costing precision below
    spans = WINDOW // _SPAN
    span_sums = signal.reshape(-1, _SPAN).sum(axis=1)
    means = sliding_window_view(span_sums, spans)[:: SHIFT // _SPAN].sum(axis=1) / WINDOW
    # Pre-emphasis of the whole signal at once leaves (1 - 0.97) of each frame's mean to subtract.
    # Kaldi treats a frame's first sample differently; the window is zero there, so no matter.
    signal[1:] -= _PRE_EMPHASIS * signal[:-1]
    step = signal.itemsize
    framed = as_strided(signal, (len(means), WINDOW), (SHIFT * step, step), writeable=False)
    windowed = framed - ((1 - _PRE_EMPHASIS) * means)[:, None]
    windowed *= _POVEY
    spectrum: Any = scipy.fft.rfft(windowed, _FFT, overwrite_x=True)
    power = spectrum.real**2
    power += spectrum.imag**2
    return power


def normalize(frames: Float32[np.ndarray, "frames C"]) -> Float32[np.ndarray, "frames C"]:
    """Return frames whose channels have mean 0 and standard deviation 1 over the utterance.

    A channel that hardly varies (standard deviation below 0.001, as in digital silence) is
    centered and divided by 0.001, so it stays near 0 and finite.

    Args:
        frames: all frames of one utterance, without padding.
    """
    if not len(frames):
        return frames.copy()
    # float64 sums: float32 ones drift along thousands of frames.
    centered = frames - frames.mean(axis=0, dtype=np.float64).astype(np.float32)
    std = np.sqrt(np.square(centered).mean(axis=0, dtype=np.float64)).astype(np.float32)
    centered /= np.maximum(std, np.float32(_STD_FLOOR))
    return centered
