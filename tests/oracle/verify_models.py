#!/usr/bin/env python3
"""Checks the models of the repository against the reference tables in this folder.

Usage: python tests/oracle/verify_models.py [MODEL ...]

Needs myokit and numpy; the trajectories also need a C compiler and SUNDIALS, which
Myokit's simulation is built from. For every model (all, unless some are named):

1. the file is opened by Myokit as it is, its units are checked in strict mode, and it is validated: no
   warning but that no derivative needs an output of the model, or an initial value;
2. every derivative and intermediate of the derivative tables is evaluated at the
   table's own state and compared;
3. every trajectory is integrated with CVODES and compared row by row.

README.md says where the tables come from and what the columns of the maps mean.
Exit code: 0 all within tolerance, 1 otherwise.
"""
import csv
import pathlib
import re
import sys

import myokit
import numpy as np

import skeletal_fibre

HERE = pathlib.Path(__file__).resolve().parent
SHIPPED = HERE.parent.parent / "models"
OWN = HERE.parent / "models"  # the tests' own

# A derivative may differ by this much, relative to the largest term in its formula.
# The terms cancel at rest, so nothing tighter than a few rounding errors is possible.
DERIVATIVE_TOLERANCE = 1e-9

# A trajectory may differ by this much, relative to the range of its variable. The
# tables' ten digits are part of that: potassium inside moves by 1e-5 of its value.
TRAJECTORY_TOLERANCE = 1e-4

# A pulse is (level, start, length, period, count), in ms; count 0 means for ever.
# Model: its cases, each with literals to set, tables of derivatives (table, column of values, column of
# derivatives, pacing level) and a trajectory.
CASES = {
    "hodgkin_huxley_1952": [{
        "derivatives": [
            ("hodgkin_huxley_1952_derivatives_t0_pace0.csv", "initial_value", "derivative", 0),
            ("hodgkin_huxley_1952_derivatives_t0_pace1.csv", "initial_value", "derivative", 1),
        ],
        "trajectory": ("hodgkin_huxley_1952.csv", (1, 5, 0.5, 20, 0)),
    }],
    "shorten_2007_fast": [{
        "derivatives": [
            ("shorten_fast_derivatives_t0_pace0.csv", "initial_value", "derivative", 0),
            ("shorten_fast_derivatives_t0_pace1.csv", "initial_value", "derivative", 1),
        ],
        "trajectory": ("shorten_fast_twitch.csv", (1, 0, 0.5, 0, 0)),
    }],
    "shorten_2007_slow": [{
        "derivatives": [
            ("shorten_slow_derivatives_t0_pace0.csv", "initial_value", "derivative", 0),
            ("shorten_slow_derivatives_t0_pace1.csv", "initial_value", "derivative", 1),
        ],
        "trajectory": ("shorten_slow_twitch.csv", (1, 0, 0.5, 0, 0)),
    }],
    "skeletal_fibre_prototype": [{
        "derivatives": [
            ("skeletal_fibre_prototype_derivatives.csv", f"value_t{t}ms_pace{pace}",
             f"derivative_t{t}ms_pace{pace}", pace)
            for t in (0, 2, 6) for pace in (0, 1)
        ],
        "trajectory": ("skeletal_fibre_prototype_twitch.csv", (1, 1, 0.5, 0, 0)),
        # The table has the fibre stimulated directly while the nerve runs unconnected.
        # The model has a switch for one or the other.
        "switches": {"nerve": {"nerve.on": 1}, "endplate": {"nerve.on": 1}},
    }],
    # These tables are Myokit's own (skeletal_fibre.py): that they are those of the file is what is checked.
    "skeletal_fibre": [{
        "set": literals,
        "derivatives": [
            (f"skeletal_fibre_{name}_derivatives.csv", f"value_t{t}ms", f"derivative_t{t}ms_pace{pace}", pace)
            for t in skeletal_fibre.DERIVATIVES_AT for pace in (0, 1)
        ],
        "trajectory": (f"skeletal_fibre_{name}.csv", (*pulse, 0, 0)),
    } for name, (literals, pulse, _) in skeletal_fibre.EXPERIMENTS.items()],
}

# Computed for whoever reads the model's results, and used by nothing in it.
OUTPUTS = {"force.F", "inside.Mg"}


def read_csv(name):
    with open(HERE / name, newline="") as f:
        return list(csv.DictReader(f))


def read_names(model_name, model):
    """Table name -> (model name, scale), without the columns the model does not have."""
    if not (HERE / f"{model_name}_names.csv").exists():
        return {v.qname(): (v.qname(), 1.0) for v in model.variables(deep=True)}
    rows = read_csv(f"{model_name}_names.csv")
    return {r["table_name"]: (r["model_name"], float(r["scale"])) for r in rows if r["model_name"]}


class Evaluator:
    """Evaluates a model once, remembering the size of the largest term behind each sum."""

    def __init__(self, model, state, pace, literals=()):
        self.model = model
        self.values = {}
        self.sizes = {}
        for var, x in zip(model.states(), state):
            self.values[var] = x
            self.sizes[var] = abs(x)
        for binding, x in (("time", 0.0), ("pace", float(pace))):
            var = model.binding(binding)
            self.values[var] = x
            self.sizes[var] = abs(x)
        for name, x in dict(literals).items():
            self.values[model.get(name)] = float(x)
            self.sizes[model.get(name)] = abs(x)

    def variable(self, var):
        """Value of a variable (of a state: the state itself)."""
        if var not in self.values:
            self.values[var], self.sizes[var] = self.expression(var.rhs())
        return self.values[var], self.sizes[var]

    def derivative(self, state):
        return self.expression(state.rhs())

    def expression(self, e):
        """(value, size): size is the value the formula had if no terms cancelled."""
        if isinstance(e, myokit.Number):
            return float(e), abs(float(e))
        if isinstance(e, myokit.Name):
            return self.variable(e.var())
        operands = [self.expression(x) for x in e]
        values, sizes = zip(*operands) if operands else ((), ())
        if isinstance(e, myokit.PrefixMinus):
            return -values[0], sizes[0]
        if isinstance(e, myokit.PrefixPlus):
            return values[0], sizes[0]
        if isinstance(e, myokit.Plus):
            return values[0] + values[1], max(sizes)
        if isinstance(e, myokit.Minus):
            return values[0] - values[1], max(sizes)
        if isinstance(e, myokit.Multiply):
            return values[0] * values[1], sizes[0] * sizes[1]
        if isinstance(e, myokit.Divide):
            return values[0] / values[1], sizes[0] / abs(values[1])
        if isinstance(e, myokit.If):
            return operands[1] if values[0] else operands[2]
        # Everything else is a function of its operands' values.
        substitution = e.clone(subst={x: myokit.Number(float(v)) for x, v in zip(e, values)})
        value = float(substitution.eval())
        return value, abs(value)


def check_derivatives(model, names, table, value_column, derivative_column, pace, switches):
    """Worst error of one table, its place, and the states the table lacks.

    `switches` gives the literals to set for the derivatives of a component.
    """
    rows = {names[r["state"]][0]: (r, names[r["state"]][1]) for r in read_csv(table) if r["state"] in names}
    missing = [v.qname() for v in model.states() if v.qname() not in rows]
    state = []
    for var in model.states():
        if var.qname() in rows:
            row, scale = rows[var.qname()]
            state.append(float(row[value_column]) / scale)
        else:
            state.append(var.initial_value(as_float=True))
    evaluators = {component: Evaluator(model, state, pace, literals)
                  for component, literals in switches.items()}
    default = Evaluator(model, state, pace)
    worst = (0.0, "")
    for name, (row, scale) in rows.items():
        var = model.get(name)
        value, size = evaluators.get(var.parent().name(), default).derivative(var)
        wanted = float(row[derivative_column]) / scale
        error = abs(value - wanted)
        relative = error / max(size, abs(wanted)) if error else 0.0
        if relative >= worst[0]:
            worst = (relative, name)
    return *worst, len(rows), missing


def check_trajectory(model, names, table, pulse):
    """[(error over range, model name)] of every variable of a trajectory, worst first."""
    rows = read_csv(table)
    time_column = next(c for c in rows[0] if c.endswith(".time"))
    times = np.array([float(r[time_column]) for r in rows])
    columns = {c: names[c] for c in rows[0] if c in names and c != time_column}

    level, start, length, period, count = pulse
    protocol = myokit.Protocol()
    protocol.schedule(level, start, length, period, count)
    simulation = myokit.Simulation(model, protocol)
    simulation.set_tolerance(1e-10, 1e-10)
    wanted_names = [name for name, _ in columns.values()]
    log = simulation.run(times[-1] + 1e-6, log=["engine.time", *wanted_names], log_times=times)
    assert np.allclose(log["engine.time"], times)

    errors = []
    for column, (name, scale) in columns.items():
        wanted = np.array([float(r[column]) for r in rows])
        got = np.asarray(log[name]) * scale
        errors.append((np.max(np.abs(got - wanted)) / np.ptp(wanted), name))
    return sorted(errors, reverse=True)


def serves(variable, initial):
    """Whether a variable that no derivative needs is an output, an initial value, or needed by one."""
    users = list(variable.refs_by())
    return variable.qname() in OUTPUTS or variable in initial or (
        bool(users) and all(serves(user, initial) for user in users))


def is_expected(warning, model):
    """Whether all that a warning says is that no derivative needs something which has another use."""
    unused = re.fullmatch(r"Unused variable: <(.+)>\.", str(warning))
    initial = {name.var() for state in model.states() for name in state.initial_value().references()}
    return unused is not None and serves(model.get(unused[1]), initial)


def opened(model_name):
    """The model as plain Myokit opens it; complains of what is not sound."""
    shipped = SHIPPED / f"{model_name}.mmt"
    model, *_ = myokit.load(shipped if shipped.exists() else OWN / shipped.name)
    model.check_units(myokit.UNIT_STRICT)
    model.validate()
    return model, [w for w in model.warnings() if not is_expected(w, model)]


def verify(model_name):
    model, warnings = opened(model_name)
    print(f"{model_name}: {model.count_states()} states, units consistent")
    for warning in warnings:
        print(f"  Myokit warns: {warning}")
    good = not warnings
    for case in CASES[model_name]:
        good &= verify_case(model_name, case)
    print(f"  {'within tolerance' if good else 'OUTSIDE TOLERANCE'}")
    return good


def verify_case(model_name, case):
    model, _ = opened(model_name)
    for name, value in case.get("set", {}).items():
        model.set_value(name, myokit.Number(value, model.get(name).unit()))
    names = read_names(model_name, model)
    good = True
    for table, value_column, derivative_column, pace in case["derivatives"]:
        worst, place, n, missing = check_derivatives(
            model, names, table, value_column, derivative_column, pace, case.get("switches", {}))
        good &= worst <= DERIVATIVE_TOLERANCE and not missing
        print(f"  {table} {value_column}, pace {pace}: {n} derivatives, worst {worst:.1e} in {place}")
        if missing:
            print(f"    not in the table: {', '.join(missing)}")

    table, pulse = case["trajectory"]
    errors = check_trajectory(model, names, table, pulse)
    good &= errors[0][0] <= TRAJECTORY_TOLERANCE
    listed = ", ".join(f"{e:.1e} {name}" for e, name in errors[:4])
    print(f"  {table}: {len(errors)} variables, worst {listed}")
    return good


def main(chosen):
    unknown = [name for name in chosen if name not in CASES]
    if unknown:
        sys.exit(f"no such model: {', '.join(unknown)}; there are {', '.join(CASES)}")
    results = [verify(name) for name in chosen or CASES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
