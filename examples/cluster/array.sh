#!/usr/bin/env bash
#SBATCH --job-name=sarcolemma
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
# One part of a study for each task of a SLURM array:
#
#   job=$(sbatch --parsable --array=1-8 examples/cluster/array.sh examples/studies/cramp.toml --backend cpu)
#   sbatch --dependency=afterok:$job --wrap "sarcolemma merge cramp.h5 cramp.shard-*-of-8.h5"
#
# A task that was cut off is queued again with the same number: it goes on from the file that it left, or begins again where that cannot be.
# SLURM itself queues again what a node's failure, a higher job or `scontrol requeue` cut off; a task whose time is over
# (SIGUSR1 two to three minutes before) or whose program was killed is queued again from here, RESTARTS times at most. `scancel` ends a task.
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
# SIGUSR1 comes to this script alone. SIGTERM comes to the program, too (a second one would end it before it has taken its checkpoint); without the
# trap this script would end first.
trap 'cut=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || true' USR1
trap 'cut=1' TERM

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
        # By both numbers: SLURM_JOB_ID of an array's last task is the number of the whole array.
        task=${SLURM_ARRAY_JOB_ID}_$part
        if [ "${SLURM_RESTART_COUNT:-0}" -lt "${RESTARTS:-9}" ] &&
            [ -n "$(squeue --noheader --jobs "$task" --states RUNNING --format %i)" ]; then
            echo "cut off (code $status): queued again" >&2
            scontrol requeue "$task"
        fi
        ;;
esac
exit "$status"
