#!/usr/bin/env python3
"""Writes the reference tables of models/skeletal_fibre.mmt, from the very file, with Myokit and CVODES.

Usage: python tests/oracle/skeletal_fibre.py [EXPERIMENT ...]

To be run whenever an equation or a number of the model changes; the tables are then reviewed as a diff.
Myokit reads the file by a parser of its own and SUNDIALS integrates what Myokit writes in C: nothing is shared with
this project but the text. Needs myokit, numpy, a C compiler and SUNDIALS. README.md says what the columns are.
"""
import csv
import pathlib
import sys

import myokit
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE.parent.parent / "models" / "skeletal_fibre.mmt"

# Error allowed in a step, relative and absolute. A hundredth of either moves no digit that the tests look at.
RELATIVE, ABSOLUTE = 1e-10, 1e-12

# Name: (literals that are set, pulse as (level, start, length) in ms, end of the trajectory in ms).
# The nerve's pulse is the one that its amplitude is made for.
EXPERIMENTS = {
    "fast": ({"fibre.slow": 0}, (1, 1, 0.5), 60),
    "slow": ({"fibre.slow": 1}, (1, 1, 0.5), 200),
    "warm": ({"fibre.slow": 0, "cell.T": 310}, (1, 1, 0.5), 60),
    "nerve": ({"fibre.slow": 0, "nerve.on": 1}, (1, 1, 0.2), 60),
}

# Times at which all derivatives are written, ms: at rest, in the action potential, in the rise of calcium.
DERIVATIVES_AT = (0, 2, 6)

# What the trajectories hold: at least one variable of every part of the model.
RECORDED = [
    "membrane.V", "tubule.V",
    "inside.Na", "inside.K", "inside.Cl",
    "tubule.Na", "tubule.K", "tubule.Cl",
    "interstitium.Na", "interstitium.K", "interstitium.Cl",
    "sodium.h", "sodium.S", "potassium.n", "chloride.r", "pump.w", "pump.I",
    "ryr.O", "calcium.Ca_terminal", "calcium.Ca", "calcium.SR",
    "magnesium.Mg", "parvalbumin.Ca", "troponin.CaCa", "crossbridge.A2", "force.F",
    "metabolism.PCr", "phosphate.P", "nerve.V", "endplate.r",
]


def times(end):
    """Every 0.1 ms to 12 ms, where the action potential is, then every 1 ms, in ms."""
    early = np.arange(0, 121) / 10
    return np.concatenate([early, np.arange(13, end + 1)])


def prepared(literals):
    """The model with these literals. Initial values that are formulas follow them."""
    model = myokit.load_model(MODEL)
    for name, value in literals.items():
        model.set_value(name, myokit.Number(value, model.get(name).unit()))
    return model


def simulation(model, pulse):
    level, start, length = pulse
    protocol = myokit.Protocol()
    protocol.schedule(level, start, length)
    made = myokit.Simulation(model, protocol)
    made.set_tolerance(ABSOLUTE, RELATIVE)
    return made


def trajectory(model, pulse, names, at):
    """Columns of these variables at these times (which start at 0), integrated from the model's initial values."""
    made = simulation(model, pulse)
    log = made.run(at[-1] + 1e-6, log=["engine.time", *names], log_times=at)
    assert np.allclose(log["engine.time"], at)
    return {name: np.asarray(log[name]) for name in names}


def write(name, head, rows):
    with open(HERE / name, "w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
    print(f"{name}: {len(rows)} rows")


def write_experiment(name):
    literals, pulse, end = EXPERIMENTS[name]
    model = prepared(literals)
    model.check_units(myokit.UNIT_STRICT)

    at = times(end)
    columns = trajectory(model, pulse, RECORDED, at)
    # What stands still is left out: it has no range to compare with.
    moving = [v for v in RECORDED if np.ptp(columns[v]) > 0]
    # 13 digits: some ions move by 1e-5 of themselves.
    rows = [[f"{t:.6g}", *(f"{columns[v][i]:.13g}" for v in moving)] for i, t in enumerate(at)]
    write(f"skeletal_fibre_{name}.csv", ["engine.time", *moving], rows)

    states = [v.qname() for v in model.states()]
    made = simulation(model, pulse)
    head, data = ["state"], [states]
    for t in DERIVATIVES_AT:
        if t > made.time():
            made.run(t - made.time(), log=myokit.LOG_NONE)
        state = made.state()
        head.append(f"value_t{t}ms")
        data.append([repr(float(x)) for x in state])
        for pace in (0, 1):
            found = model.evaluate_derivatives(state, inputs={"pace": pace})
            head.append(f"derivative_t{t}ms_pace{pace}")
            data.append([repr(float(x)) for x in found])
    write(f"skeletal_fibre_{name}_derivatives.csv", head, list(zip(*data)))


def main(chosen):
    unknown = [name for name in chosen if name not in EXPERIMENTS]
    if unknown:
        sys.exit(f"no such experiment: {', '.join(unknown)}; there are {', '.join(EXPERIMENTS)}")
    for name in chosen or EXPERIMENTS:
        write_experiment(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
