#!/usr/bin/env bash
#SBATCH --job-name=sarcolemma
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
# One part of a study for each task of a SLURM array:
#
#   job=$(sbatch --parsable --array=1-8 examples/cluster/array.sh examples/studies/cramp.toml --backend cpu)
#   sbatch --dependency=afterok:$job --wrap "sarcolemma merge cramp.h5 cramp.shard-*-of-8.h5"
#
# A task that was cut off is queued again with the same number: it goes on from the file that it left, or begins again where that cannot be.
# SLURM itself queues again what a node's failure, a higher job or `scontrol requeue` cut off; the rest, time that is over
# (SIGTERM two minutes before) and a program that was killed, is queued again from here, RESTARTS times at most. `scancel` ends a task.
set -euo pipefail

study=$1
shift
program=${SARCOLEMMA:-sarcolemma}
part=$SLURM_ARRAY_TASK_ID
# Where only some tasks of an array are submitted again: PARTS=8 sbatch --array=3,5 …
parts=${PARTS:-$SLURM_ARRAY_TASK_COUNT}
output=$(basename "$study" .toml).shard-$part-of-$parts.h5

child=
cut=
# SLURM's signal comes to this script alone; without the trap it would end before the program has taken its checkpoint.
trap 'cut=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' TERM

# Runs the program and leaves its exit code in $status.
call() {
    if [ -n "$cut" ]; then status=130; return; fi
    "$program" "$@" --threads "${SLURM_CPUS_PER_TASK:-1}" --quiet &
    child=$!
    # A signal ends `wait`, not the program; bash remembers the code of one that has ended.
    while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
    status=0
    wait "$child" || status=$?
    child=
}

if [ -e "$output.done" ]; then
    exit 0
fi
status=2
if [ -e "$output" ]; then
    call resume "$output"
fi
# 2: there is nothing to go on from. Anything else, such as a full disk, does not become better by beginning again.
if [ "$status" -eq 2 ]; then
    call run "$study" --shard "$part/$parts" --force -o "$output" "$@"
fi
case $status in
    0)
        touch "$output.done"
        ;;
    # Interrupted, SIGKILL, SIGTERM. A task that runs no more for SLURM was cancelled, or is queued again already.
    130 | 137 | 143)
        if [ "${SLURM_RESTART_COUNT:-0}" -lt "${RESTARTS:-9}" ] &&
            [ -n "$(squeue --noheader --jobs "$SLURM_JOB_ID" --states RUNNING --format %i)" ]; then
            echo "cut off (code $status): queued again" >&2
            scontrol requeue "$SLURM_JOB_ID"
        fi
        ;;
esac
exit "$status"
