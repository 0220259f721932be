"""Draws the result of examples/studies/cramp.toml.

    python plot_cramp.py cramp.h5 [cramp.png]

Left: three fibres, one of each class. Right: the share of fibres that do not fall silent after the train, by chloride
conductance, for three levels of magnesium. Needs xarray, h5netcdf and matplotlib.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

from figures import BLACK, BLUE, ORANGE, STIMULATED, open_result, save, share_line

TRAIN_END_MS = 590.5


def classes(data):
    """0 quiet, 1 after-discharge, 2 plateau; the study's own conditions."""
    plateau = data["V500"].values > -60
    firing = data["after.count"].values >= 3
    return np.where(plateau, 2, np.where(firing, 1, 0))


def example(data, kind, wanted):
    """Among the recorded fibres of a class, the one with the largest `wanted`."""
    recorded = data["trace"].values
    members = recorded[classes(data)[recorded] == kind]
    if len(members) == 0:
        sys.exit("the file holds no trace of every class: run the study as it stands")
    return members[np.argmax(wanted[members])]


def traces(axes, data):
    fraction = data["chloride.fraction"].values
    magnesium = data["bath.Mg"].values
    normal = -np.abs(fraction - 1) - np.abs(magnesium - 0.55)
    low = -np.abs(fraction - 0.1) - np.abs(magnesium - 0.55)
    # Some after-discharges end in rest and some in a plateau after all: the picture shows one that ends in rest.
    at_rest = np.zeros(len(fraction))
    at_rest[data["trace"].values] = data["membrane.V"].isel(time=-1).values < -70
    chosen = [
        ("quiet", BLACK, example(data, 0, normal)),
        ("after-discharge", BLUE, example(data, 1, data["after.count"].values + 100 * at_rest + 100 * low)),
        ("plateau", ORANGE, example(data, 2, low)),
    ]
    time = data["time"].values / 1000
    for axis, (name, colour, fibre) in zip(axes, chosen):
        axis.axvspan(0.010, TRAIN_END_MS / 1000, color=STIMULATED, lw=0)
        axis.plot(time, data["membrane.V"].sel(trace=fibre), color=colour, lw=0.6)
        axis.set(xlim=(0, 1.6), ylim=(-105, 45), yticks=[-80, -40, 0, 40])
        label = f"{name}: chloride {fraction[fibre] * 100:.3g} %, Mg {magnesium[fibre]:.3g} mM"
        axis.text(1.6, 43, label, ha="right", va="top", color=colour, fontsize=8)
    axes[0].set_title("Membrane potential of three fibres", loc="left", fontsize=9)
    axes[1].set_ylabel("membrane potential (mV)")
    axes[2].set_xlabel("time (s); grey: 30 pulses at 50 Hz")
    for axis in axes[:2]:
        axis.tick_params(labelbottom=False)


def shares(axis, data):
    abnormal = classes(data) > 0
    fraction = data["chloride.fraction"].values
    magnesium = data["bath.Mg"].values
    steps = np.unique(fraction)
    looks = {0.2: (ORANGE, "o", "-"), 0.55: (BLACK, "s", "--"), 1.2: (BLUE, "^", ":")}
    words = {0.2: "0.2 mM (low)", 0.55: "0.55 mM (normal)", 1.2: "1.2 mM (high)"}
    for k, mg in enumerate(np.unique(magnesium)):
        colour, marker, line = looks[round(float(mg), 3)]
        there = [abnormal[(magnesium == mg) & (fraction == f)] for f in steps]
        x = np.arange(len(steps)) + 0.08 * (k - 1)
        share_line(axis, x, there, color=colour, marker=marker, ls=line, lw=1.2, label=words[round(float(mg), 3)])
    axis.set_xticks(np.arange(len(steps)), [f"{100 * f:g}" for f in steps])
    axis.invert_xaxis()
    axis.set(ylim=(-3, 103), ylabel="fibres that do not fall silent (%)")
    axis.set_xlabel("chloride conductance (% of healthy)")
    axis.set_title(f"All {len(abnormal)} fibres", loc="left", fontsize=9)
    axis.legend(title="magnesium in the bath", loc="upper left")


def draw(data):
    figure = plt.figure(figsize=(9, 3.9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.15, 1])
    traces(left.subplots(3, 1, sharex=True), data)
    shares(right.subplots(), data)
    return figure


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    source = sys.argv[1]
    target = sys.argv[2] if len(sys.argv) > 2 else "cramp.png"
    with open_result(source) as data:
        save(draw(data), target)


if __name__ == "__main__":
    main()
