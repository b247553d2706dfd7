#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2), MP3 of variable bit rate without a Xing frame, as encoders
# write it to a pipe.
# Expected: all samples, or an error.
# Seen: libsndfile guesses the number of frames from the first one's bit rate and gives no sample
# beyond that guess: here a fraction of the file, without an error; SoundFile.frames agrees with it.
# What to do: count the frames by their headers, and put a Xing frame with that number before them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.2.6
"$work/venv/bin/python" - "$work/a.mp3" <<'PY'
import sys

import numpy as np
import soundfile

path = sys.argv[1]
noise = np.random.default_rng(0).normal(0, 0.1, 16000 * 10)
noise[16000 * 3 :] *= 1e-4  # as speech is, and then a pause
with soundfile.SoundFile(
    path, "w", 16000, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.4
) as file:
    file.write(noise)
data = open(path, "rb").read()
told, _ = soundfile.read(path)
number = int.from_bytes(data[(at := data.index(b"Xing")) + 8 : at + 12], "big")
open(path, "wb").write(data[data.index(data[:2], 48) :])
untold, _ = soundfile.read(path)
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
print(f"{number} frames of 576 samples; with the Xing frame {len(told)} samples are read,")
print(f"without it {len(untold)}, where {number * 576} are there")
sys.exit(len(told) != 160000 or len(untold) > 0.9 * number * 576)
PY
