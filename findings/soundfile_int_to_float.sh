#!/usr/bin/env bash
# soundfile 0.14.0 (libsndfile 1.2.2): int16 samples written to a float file.
# Expected: values from -1 to 1, as every reader of float audio takes them, and as float samples
# written to a 16-bit file are scaled on their way.
# Seen: the integers as they are, up to 32767.0, 90 dB above full scale; read as float32 they come
# back so, and whatever converts them to 16 bits clips them to a square wave.
# What to do: divide by 32768 before writing; refuse float files of which much is beyond full scale.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet soundfile==0.14.0 numpy==2.2.6
"$work/venv/bin/python" - "$work" <<'PY'
import sys

import numpy as np
import soundfile

samples = np.array([0, 100, -100, 16384], np.int16)
soundfile.write(f"{sys.argv[1]}/a.wav", samples, 16000, subtype="FLOAT")
floats, _ = soundfile.read(f"{sys.argv[1]}/a.wav", dtype="float32")
soundfile.write(f"{sys.argv[1]}/b.wav", samples / 32768, 16000, subtype="PCM_16")
ints, _ = soundfile.read(f"{sys.argv[1]}/b.wav", dtype="int16")
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
print("int16 to a float file and back as float32:", floats)
print("float to a 16-bit file and back as int16:", ints)
sys.exit(not (np.array_equal(floats, samples) and np.array_equal(ints, samples)))
PY
