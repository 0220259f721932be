"""The axon (or with --model another model) in sarcolemma: `sarcolemma bench`, its start included.

The program is `target/release/sarcolemma`, or what the variable SARCOLEMMA names. With --check a study tells the spikes of two fibres: one
of the model as it is, one with the paper's closing rate of potassium, which Arbor and NEURON have.
"""

import argparse
import json
import os
import pathlib
import subprocess

import axon

ROOT = pathlib.Path(__file__).parents[2]
STUDY = """
title    = "Spikes of the axon"
model    = "hodgkin_huxley_1952"
duration = "1 s"
scheme   = "rush_larsen"
step     = "0.01 ms"

[population]
fibres = 2

[population.parameters]
"potassium.slope" = {{ values = [80, -80] }}

[[protocol.pulse]]
start  = "{START_MS} ms"
length = "{LENGTH_MS} ms"
period = "{PERIOD_MS} ms"

[features]
spikes = {{ of = "membrane.V", threshold = "0 mV" }}
"""


def check(program, precision):
    import h5py

    folder = pathlib.Path(axon.build_folder("sarcolemma"))
    study, output = folder / "axon.toml", folder / "axon.h5"
    study.write_text(STUDY.format(**vars(axon)))
    command = [program, "run", study, "--output", output, "--force", "--backend", "cpu", "--precision", precision]
    subprocess.run(command, check=True, capture_output=True)
    with h5py.File(output) as run:
        for fibre in range(2):
            count, first, last = (run[f"spikes.{what}"][fibre] for what in ("count", "first", "last"))
            axon.report(spikes=int(count), first_ms=float(first), last_ms=float(last))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="hodgkin_huxley_1952")
    parser.add_argument("--precision", choices=("f32", "f64"), default="f32")
    parser.add_argument("--scheme", choices=("rush_larsen", "ros4"), default="rush_larsen")
    parser.add_argument("--tolerance", help="of ros4 [default: that of a study of the model]")
    parser.add_argument("--fibres", default="8192")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    program = os.environ.get("SARCOLEMMA", ROOT / "target" / "release" / "sarcolemma")
    if args.check:
        check(program, args.precision)
        return

    command = [program, "bench", args.model, "--rate", "50", "--threads", "1", "--backend", "cpu", "--json"]
    command += ["--precision", args.precision, "--scheme", args.scheme, "--fibres", args.fibres]
    if args.scheme == "rush_larsen":
        command += ["--step", f"{axon.STEP_MS} ms"]
    if args.tolerance:
        command += ["--tolerance", args.tolerance]
    with axon.Clock() as clock:
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result = json.loads(said)["results"][0]
    simulated_s = result["fibre_seconds_per_s"] * result["compute_s"]
    axon.report(
        fibres=result["fibres"],
        fibre_steps_per_s=result["fibre_steps_per_s"] * result["compute_s"] / clock.cpu_s,
        fibre_seconds_per_s=simulated_s / clock.cpu_s,
        cpu_s=clock.cpu_s,
        wall_s=clock.wall_s,
        spikes=result["spikes"],
    )


if __name__ == "__main__":
    main()
