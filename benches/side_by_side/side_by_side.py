"""Runs every program of the comparison that is installed, in turn, on one core, and prints one table.

    pip install -r benches/side_by_side/requirements.txt
    python benches/side_by_side/side_by_side.py [--rounds 3] [--core 1]

First the spikes of each in one second, then rounds of timing. A speed is fibre-steps for each second of processor time, of stepping alone;
a ratio is that of sarcolemma to it, round by round, the median of the rounds with the range. Then the same by simulated time, with steps that
sarcolemma chooses.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
# The step of all programs with a fixed one: `axon.py`.
STEP_MS = 0.01
PROGRAMS = {
    "sarcolemma f32": ["sarcolemma_axon.py", "--precision", "f32"],
    "sarcolemma f64": ["sarcolemma_axon.py", "--precision", "f64"],
    "JAX f32": ["jax_axon.py", "--precision", "f32"],
    "JAX f64": ["jax_axon.py", "--precision", "f64"],
    "Brian2 f32": ["brian2_axon.py", "--precision", "f32"],
    "Brian2 f64": ["brian2_axon.py", "--precision", "f64"],
    "Arbor f64": ["arbor_axon.py"],
    "CoreNEURON f64": ["neuron_axon.py", "--core"],
    "NEURON f64": ["neuron_axon.py"],
    "Myokit OpenCL f32": ["myokit_opencl_axon.py", "--precision", "f32"],
    "Myokit OpenCL f64": ["myokit_opencl_axon.py", "--precision", "f64"],
}
# 0.002 is the default, 0.04 has a third of the error of the fixed step and 0.16 three quarters
# (`cargo bench --bench accuracy -- --model hodgkin_huxley_1952 --protocol 50hz`).
CHOSEN_STEPS = {
    f"ros4 {tolerance}, {precision}": ["sarcolemma_axon.py", "--scheme", "ros4", "--tolerance", tolerance, "--precision", precision]
    for tolerance in ("0.002", "0.04", "0.16")
    for precision in ("f32", "f64")
}
# The looser tolerance of each pair has about the error of `ros4` at its default tolerance.
SINGLE_FIBRES = {
    "axon, sarcolemma ros4 f32": ["sarcolemma_axon.py", "--scheme", "ros4"],
    "axon, sarcolemma ros4 f64": ["sarcolemma_axon.py", "--scheme", "ros4", "--precision", "f64"],
    "axon, CVODES 1e-6": ["myokit_cvodes.py", "hodgkin_huxley_1952"],
    "axon, CVODES 1e-5": ["myokit_cvodes.py", "hodgkin_huxley_1952", "--tolerance", "1e-5"],
}
SHORTEN = ["sarcolemma_axon.py", "--model", "shorten_2007_fast", "--scheme", "ros4", "--fibres", "1024"]
SINGLE_FIBRES |= {
    "shorten_2007_fast, sarcolemma ros4 f32": SHORTEN,
    "shorten_2007_fast, sarcolemma ros4 f64": [*SHORTEN, "--precision", "f64"],
    "shorten_2007_fast, CVODES 1e-6": ["myokit_cvodes.py", "shorten_2007_fast"],
    "shorten_2007_fast, CVODES 1e-4": ["myokit_cvodes.py", "shorten_2007_fast", "--tolerance", "1e-4"],
}
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POCL_MAX_PTHREAD_COUNT")}


def run(words, *more):
    """What a program prints, one object a line; nothing, and why, if it fails."""
    command = [sys.executable, HERE / words[0], *words[1:], *more]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **ONE_THREAD})
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return [], reason
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")], None


def spread(values):
    """Median and range, to three digits."""
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def check():
    """Prints the spikes of every program; returns those that run."""
    print("| program | spikes in 1 s | first, ms | last, ms |\n|---|---|---|---|")
    running = []
    for name, words in PROGRAMS.items():
        found, reason = run(words, "--check")
        for told, of in zip(found, ("", ", the paper's rate")):
            print(f"| {name}{of} | {told['spikes']} | {told['first_ms']:.3f} | {told['last_ms']:.3f} |", flush=True)
        if found:
            running.append(name)
        else:
            print(f"| {name} | left out: {reason} | | |", flush=True)
    return running


def rounds(programs, n):
    """Measures in turn: for each program that never failed, its results."""
    results = {name: [] for name in programs}
    for _ in range(n):
        for name, words in programs.items():
            found, reason = run(words)
            if found:
                results[name].append(found[-1])
            else:
                print(f"{name} left out: {reason}", flush=True)
    return {name: found for name, found in results.items() if len(found) == n}


def ratio(results, ours, name, what):
    if ours not in results:
        return "–"
    return spread([a[what] / b[what] for a, b in zip(results[ours], results[name])])


def table(results, what, unit, scale, rows):
    """`rows` yields a program and the two that it is compared with."""
    print(f"\n| program | fibres | {unit} | f32 of sarcolemma to it | f64 of sarcolemma to it | processor time by the wall |")
    print("|---|---|---|---|---|---|")
    for name, single, double in rows:
        found = results[name]
        share = statistics.median(r["cpu_s"] / r["wall_s"] for r in found)
        speed = spread([r[what] / scale for r in found])
        ratios = f"{ratio(results, single, name, what)} | {ratio(results, double, name, what)}"
        print(f"| {name} | {found[0].get('fibres', 1)} | {speed} | {ratios} | {share:.2f} |")


def by_time(fixed, n):
    """What a user waits for: simulated time, each program with its fixed step, sarcolemma with steps that it chooses."""
    chosen = rounds(CHOSEN_STEPS, n)
    heads = "".join(f" {name}, to it |" for name in chosen)
    print(f"\n| program | fibre-seconds per second |{heads}\n|---|---|{'---|' * len(chosen)}")
    for name, found in fixed.items():
        speeds = [r["fibre_steps_per_s"] * STEP_MS * 1e-3 for r in found]
        ratios = ([a["fibre_seconds_per_s"] / b for a, b in zip(ours, speeds)] for ours in chosen.values())
        print(f"| {name} | {spread(speeds)} |" + "".join(f" {spread(r)} |" for r in ratios))
    for name, ours in chosen.items():
        print(f"| {name} | {spread([r['fibre_seconds_per_s'] for r in ours])} |" + " – |" * len(chosen))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--core", type=int, default=1)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {args.core})

    results = rounds({name: PROGRAMS[name] for name in check()}, args.rounds)
    rows = ((name, "sarcolemma f32", "sarcolemma f64") for name in results)
    table(results, "fibre_steps_per_s", "million fibre-steps a second", 1e6, rows)

    by_time(results, args.rounds)

    results = rounds(SINGLE_FIBRES, args.rounds)
    rows = ((name, *(f"{name.split(',')[0]}, sarcolemma ros4 {p}" for p in ("f32", "f64"))) for name in results)
    table(results, "fibre_seconds_per_s", "fibre-seconds per second", 1, rows)
    for name, found in results.items():
        if "potential_error_percent" in found[0]:
            print(f"{name}: error of the potential {found[0]['potential_error_percent']:.2g} % of its range")


if __name__ == "__main__":
    main()
