#!/usr/bin/env bash
# Result files of several kinds, made by the program, into a folder:  kinds.sh PROGRAM FOLDER
# all recorded (in chunks), some recorded, nothing recorded, without a spike, double precision, parts with and without a recorded fibre, joined.
set -euo pipefail
program=$1
cd "$2"
study() {
    cat <<'END'
title = "Kinds of files"
model = "hodgkin_huxley_1952"
duration = "1 s"
[population]
fibres = 400
seed = 3
[population.parameters]
"sodium.g" = { lognormal = { cv = 0.2 } }
[[protocol.pulse]]
start = "5 ms"
length = "0.5 ms"
period = "9 ms"
count = 100
END
}
record() { printf '[record]\nvariables = ["membrane.V"]\nevery = "0.5 ms"\nfibres = %s\n' "$1"; }
features() { printf '[features]\nspikes = { of = "membrane.V", threshold = "%s mV" }\nlate = { max = "membrane.V", after = "500 ms" }\n' "$1"; }
{ study; record '"all"'; features 0; } > all.toml
{ study; record '[0, 7, 250]'; features 0; } > some.toml
{ study; features 0; } > none.toml
{ study; record '[0]'; features 500; printf '[agreement]\nfibres = 0\n'; } > quiet.toml
run() { "$program" run "$1" --backend cpu --quiet --fibres "${fibres:-400}" "${@:2}"; }
run all.toml
run all.toml -o packed.h5 --compress 4
fibres=40 run some.toml -o double.h5 --precision f64 --duration "100 ms"
run some.toml
fibres=40 run none.toml
fibres=40 run quiet.toml
run some.toml --shard 1/2
run some.toml --shard 2/2
run some.toml --shard 2/4 -o unrecorded.h5
"$program" merge joined.h5 some.shard-2-of-2.h5 some.shard-1-of-2.h5 > merge.log
