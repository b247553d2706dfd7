#!/usr/bin/env bash
# flax 0.12.9 with jax 0.11.2, on Python 3.12 or later.
#
# Expected: flax 0.12.9 asks for jax>=0.11.1, so pip takes jax 0.11.2 beside it, and both work.
# Seen: pip installs the pair, `pip check` finds nothing wrong, and `from flax import nnx` raises
#   AttributeError: module 'jax.experimental.hijax' has no attribute 'HiPrimitive'
# With jax 0.11.1, one patch release before, the same flax imports; flax 0.12.10 imports with both.
# What to do: a library on flax bounds it from below by Python version (>=0.12.10 on 3.12 and later);
# neither flax's nor jax's own metadata keeps a resolver from the pair.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for python in python3.12 python3.13 python3; do
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then break; fi
done
"$python" -m venv "$folder/venv" # fails below where Python is older than 3.12
try() { # FLAX JAX: what importing says, "imports" if nothing is wrong
  "$folder/venv/bin/pip" install --quiet "flax==$1" "jax==$2" "jaxlib==$2"
  "$folder/venv/bin/pip" check >/dev/null
  ("$folder/venv/bin/python" -c 'from flax import nnx; print("imports")' 2>&1 || true) | tail -1
}
failed=$(try 0.12.9 0.11.2)
before=$(try 0.12.9 0.11.1)
after=$(try 0.12.10 0.11.2)
printf 'flax 0.12.9,  jax 0.11.2: pip check is content; %s\n' "$failed"
printf 'flax 0.12.9,  jax 0.11.1: %s\nflax 0.12.10, jax 0.11.2: %s\n' "$before" "$after"
[[ $failed == *"no attribute 'HiPrimitive'"* && $before == imports && $after == imports ]]
