#!/bin/bash
# jax 0.10.2 (jaxlib 0.10.2, CPU), jax.device_put of an array whose layout is column-major
#
# Expected: an array that is copied to another device, or replicated over several, is the same array
#   there, whatever its layout in memory.
# Seen: the copy reads right (np.asarray, addressable_shards), but every computation with it on any
#   CPU device but the first takes its numbers as if they were row-major: x + 1 of a transposed matrix
#   is another matrix, without an error. Such layouts come without being asked for: jnp.from_dlpack
#   keeps that of a transposed PyTorch tensor or of a column-major NumPy array. With sharding, each
#   device computes with another weight. jax 0.12.0.1 is right.
# What to do: give device_put row-major arrays: np.asarray(x, order="C") of those whose
#   x.format.layout.major_to_minor is not 0, 1, 2 and so on; or jnp.array(np_array) for from_dlpack.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet "jax==0.10.2" "jaxlib==0.10.2" "numpy==2.4.6"
XLA_FLAGS=--xla_force_host_platform_device_count=2 JAX_PLATFORMS=cpu "$work/venv/bin/python" - <<'PYTHON'
import jax
import numpy as np
from jax.experimental.layout import Format, Layout
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

first, second = jax.devices()
numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
# As jnp.from_dlpack(np.asfortranarray(numbers)) where NumPy's memory is aligned to 64 bytes.
column_major = jax.device_put(numbers, Format(Layout((1, 0)), SingleDeviceSharding(first)))
copy = jax.device_put(column_major, second)
everywhere = NamedSharding(jax.make_mesh((2,), ("rows",)), PartitionSpec())
sums = (jax.device_put(column_major, everywhere) + 1).addressable_shards
print("jax", jax.__version__)
print("the copy reads as", np.asarray(copy).tolist())
print("copy + 1 is      ", (copy + 1).tolist())
print("replicated + 1 is", *[(str(s.device), s.data.tolist()) for s in sums])
assert (np.asarray(copy) == numbers).all() and (column_major + 1 == numbers + 1).all()
row_major = jax.device_put(np.asarray(column_major, order="C"), second)
assert (row_major + 1 == numbers + 1).all()
assert (copy + 1 != numbers + 1).any(), "the behavior has changed"
assert [bool((s.data == numbers + 1).all()) for s in sums] == [True, False], "it has changed"
PYTHON
