#!/bin/bash
# safetensors 0.8.0, safetensors.numpy.save and save_file
#
# Expected: an array is written as the numbers that it holds, whatever its strides, or refused; 0.6.2
#   and 0.7.0 write transposed, column-major, strided, reversed and broadcast arrays right.
# Seen: 0.8.0 takes len(array) bytes from the address of the array's first number on. A transposed
#   array is written as other numbers under the right shape; no error, no warning, and digests of
#   the file agree. Of a reversed or broadcast array it reads memory that is not the array's.
#   PyTorch's linear layers become JAX's by a transposition, so their weights are such arrays.
# What to do: np.asarray(array, order="C") before each array is written (np.ascontiguousarray would
#   give an array of no dimension one), or exclude 0.8.0.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 0.7.0 0.8.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet "safetensors==$version" "numpy==2.4.6"
  "$work/$version/bin/python" - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

row_major = np.arange(6, dtype=np.float32).reshape(2, 3)
given = {"transposed": row_major.T, "column-major": np.asfortranarray(row_major)}
given["every second"] = np.arange(12, dtype=np.float32)[::2]
wrong = [name for name, array in given.items() if not (load(save({"x": array}))["x"] == array).all()]
print("safetensors", safetensors.__version__, "writes as other numbers:", wrong or "none")
print("  transposed", given["transposed"].tolist(), "->", load(save({"x": row_major.T}))["x"].tolist())
contiguous = {name: np.asarray(array, order="C") for name, array in given.items()}
assert all((value == given[name]).all() for name, value in load(save(contiguous)).items())
assert wrong == ([*given] if safetensors.__version__ == "0.8.0" else []), "the behavior has changed"
PYTHON
done
