"""Sounds at 16 kHz with known spectra, as int16."""

import numpy as np

RATE = 16000


def noise(seconds, scale=3000, seed=0):
    return np.random.default_rng(seed).normal(0, scale, round(seconds * RATE)).astype(np.int16)


def sine(hz, seconds, amplitude=10000):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.rint(amplitude * np.sin(2 * np.pi * hz * time)).astype(np.int16)


def speech_like(seconds):
    """A gliding buzz of 30 harmonics in bursts, over a little noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (140 * time + 10 * np.sin(2 * time))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 31))
    bursts = np.maximum(0, np.sin(2 * np.pi * 3 * time))
    return (2500 * bursts * buzz).astype(np.int16) + noise(seconds, 50)
