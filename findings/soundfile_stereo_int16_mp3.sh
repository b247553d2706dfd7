#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): two channels of int16 samples written to an MP3 file.
# Expected: the sound, as of one channel, or of two as floats or int32.
# Seen: noise of full scale; zeros too come back so. No error, and the length is right.
# What to do: write int16 samples of two channels as floats, divided by 32768.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.2.6
"$work/venv/bin/python" - "$work" <<'PY'
import sys

import numpy as np
import soundfile

path = f"{sys.argv[1]}/a.mp3"
tone = (8000 * np.sin(np.arange(48000) / 20)).astype(np.int16)
written = {
    "one channel, int16": tone,
    "two channels, floats": np.stack([tone, tone], 1) / 32768,
    "two channels, int16": np.stack([tone, tone], 1),
    "two channels, int16, all 0": np.zeros((48000, 2), np.int16),
}
peaks = []
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
for name, samples in written.items():
    soundfile.write(path, samples, 48000)
    peaks.append(float(np.abs(soundfile.read(path)[0]).max()))
    print(f"{name}: expected a peak of {8000 / 32768 * samples.any():.2f}, found {peaks[-1]:.2f}")
sys.exit(not (max(peaks[:2]) < 0.3 and min(peaks[2:]) > 0.9))
PY
