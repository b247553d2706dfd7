#!/usr/bin/env bash
# Train on several GPU nodes: one process a node, which Slurm tells who the others are.
#
#     sbatch --nodes 4 experiments/launch/slurm.sh EXPERIMENT RUN [OPTION ...]
#
# All nodes must see the data, the tokenizer and RUN at the same paths. The same command goes on
# where it stopped; Slurm's warning of the end of its time makes the run save and end.
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

srun taskaware train "$1" --out "$2" --distributed "${@:3}"
