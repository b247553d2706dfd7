#!/usr/bin/env bash
# Train on a TPU pod slice: one process a host, which the TPU's own metadata tell who the others are.
#
#     experiments/launch/tpu.sh TPU_NAME ZONE EXPERIMENT RUN [OPTION ...]
#
# Needs the package with "jax[tpu]" on every host, and data, tokenizer and RUN on a file system
# that all of them have mounted at the same place. The same command goes on where it stopped.
set -euo pipefail

gcloud compute tpus tpu-vm ssh "$1" --zone "$2" --worker=all --command \
  "taskaware train $(printf '%q ' "$3" --out "$4" --distributed "${@:5}")"
