#!/usr/bin/env bash
#SBATCH --job-name=sarcolemma
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=%x-%A-%a.log
# One part of a study for each task of a SLURM array:
#
#   job=$(sbatch --parsable --array=1-8 examples/cluster/array.sh examples/studies/cramp.toml --backend cpu)
#   sbatch --dependency=afterok:$job --wrap "sarcolemma merge cramp.h5 cramp.shard-*-of-8.h5"
#
# A task that was cut off (time, a node that failed, a higher job) is queued again with the same number: it goes on from the file that it left,
# or begins again where that cannot be.
set -euo pipefail

study=$1
shift
program=${SARCOLEMMA:-sarcolemma}
part=$SLURM_ARRAY_TASK_ID
# Where only some tasks of an array are submitted again: PARTS=8 sbatch --array=3,5 …
parts=${PARTS:-$SLURM_ARRAY_TASK_COUNT}
output=$(basename "$study" .toml).shard-$part-of-$parts.h5

if [ -e "$output.done" ]; then
    exit 0
fi
status=2
if [ -e "$output" ]; then
    status=0
    "$program" resume "$output" --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet || status=$?
fi
# 2: there is nothing to go on from. Anything else, such as a full disk, does not become better by beginning again.
if [ "$status" -eq 2 ]; then
    status=0
    "$program" run "$study" --shard "$part/$parts" --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet --force -o "$output" "$@" || status=$?
fi
[ "$status" -eq 0 ] || exit "$status"
touch "$output.done"
