"""Draws the results of the studies in examples/studies.

    python plot_studies.py STUDY RESULT.h5 [PICTURE.png]
    python plot_studies.py fatigue fatigue.h5 docs/fatigue.png

STUDY is one of: causes, cramp, cramp_nerve, fatigue, fibre_types, hyperkalaemia, iv_curve, pump_block, supplement.
Needs xarray, h5netcdf and matplotlib.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import plot_cramp
from figures import (
    BLACK, BLUE, GOLD, GREEN, GREY, ORANGE, PINK, SKY, STIMULATED, is_near, mean_line, open_result, recorded, save, seconds,
    share_line, trace, wilson,
)

MAGNESIUM = {  # level in mM: colour, marker, line, words
    0.2: (ORANGE, "o", "-", "0.2 mM (low)"),
    0.55: (BLACK, "s", "--", "0.55 mM (normal)"),
    1.2: (BLUE, "^", ":", "1.2 mM (high)"),
}


def cramp_nerve(data):
    """Left: nerve and fibre of three recorded pairs. Right: shares of nerves that fire on."""
    persistent = data["nerve.g_NaP"].values
    potassium, calcium, magnesium = (data[f"bath.{ion}"].values for ion in ("K", "Ca", "Mg"))
    fires = data["n_after.count"].values >= 3
    blocked = fires & (data["V_end"].values > -60)
    follows = fires & ~blocked & (data["f_after.count"].values >= 3)
    figure = plt.figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.5], wspace=0.04)

    normal = is_near(persistent, 8) & is_near(potassium, 4) & is_near(calcium, 1.2) & is_near(magnesium, 0.55)
    examples = [("quiet", BLACK, normal), ("both fire on", BLUE, follows), ("nerve fires on, fibre blocked", ORANGE, blocked)]
    axes = left.subplots(3, 1, sharex=True)
    time = seconds(data) - 0.5
    for axis, (name, colour, chosen) in zip(axes, examples):
        axis.axvspan(0, 0.5802, color=STIMULATED, lw=0)
        axis.set(xlim=(-0.15, 1.6), ylim=(-100, 260), yticks=[-80, 0, 80, 160], yticklabels=["−80", "0", "−80", "0"])
        members = recorded(data, chosen)
        if len(members):
            fibre = members[np.argmax(data["f_after.count"].values[members])]
            axis.plot(time, trace(data, "nerve.V", fibre) + 160, color=GREY, lw=0.4)
            axis.plot(time, trace(data, "membrane.V", fibre), color=colour, lw=0.4)
            bath = f"Ca {calcium[fibre]:g}, Mg {magnesium[fibre]:g}, K {potassium[fibre]:g} mM; persistent Na × {persistent[fibre] / 8:g}"
            axis.text(1.6, 0.92 * 260, bath, ha="right", va="center", fontsize=7)
        axis.set_title(name if len(members) else f"{name}: none recorded", color=colour, fontsize=8)
        axis.text(1.63, 110, "nerve", va="center", color=GREY, fontsize=7.5)
        axis.text(1.63, -50, "fibre", va="center", color=colour, fontsize=7.5)
    axes[1].set_ylabel("membrane potential (mV)")
    axes[2].set_xlabel("time (s); grey: 30 stimuli at 50 Hz to the nerve")

    rows, columns = np.unique(persistent), np.unique(potassium)
    panels = right.subplots(len(rows), len(columns), sharex=True, sharey=True)
    for i, level in enumerate(rows):
        for j, k in enumerate(columns):
            axis, steps = panels[i, j], np.unique(calcium)
            for n, mg in enumerate(np.unique(magnesium)):
                colour, marker, line, words = MAGNESIUM[round(float(mg), 3)]
                cell = is_near(persistent, level) & is_near(potassium, k) & is_near(magnesium, mg)
                members = [fires[cell & is_near(calcium, ca)] for ca in steps]
                x = steps + 0.008 * (n - 1)
                share_line(axis, x, members, color=colour, marker=marker, ls=line, label=words)
            axis.set(xticks=steps, ylim=(-4, 104))
            axis.set_title(f"K {k:g} mM, persistent Na × {level / 8:g}", fontsize=8)
    panels[0, 0].legend(title="magnesium", loc="upper right")
    right.supylabel("nerves that fire on after the train (%)", fontsize=8)
    right.supxlabel("calcium in the bath (mM, ionised); normal 1.2", fontsize=8)
    return figure


SUPPLEMENTS = [
    # title, who belongs to it, and for each line: words, then Mg, Ca, K, Cl, persistent sodium of the nerve after the change
    ("Membrane of the fibre:\nchloride 10 %, Mg 0.2 mM", lambda d: is_near(d["protocol.nerve"], 0), [
        ("nothing", 0.2, 1.2, 4, 0.1, 8), ("Mg 0.55 mM", 0.55, 1.2, 4, 0.1, 8), ("Mg 1.2 mM", 1.2, 1.2, 4, 0.1, 8),
        ("Mg 2 mM", 2, 1.2, 4, 0.1, 8), ("Ca 1.4 mM", 0.2, 1.4, 4, 0.1, 8), ("K 5 mM", 0.2, 1.2, 5, 0.1, 8),
        ("K 3 mM", 0.2, 1.2, 3, 0.1, 8), ("chloride 100 %", 0.2, 1.2, 4, 1, 8)]),
    ("Nerve and fibre:\nCa 0.8 mM, Mg 0.2 mM", lambda d: is_near(d["protocol.nerve"], 1) & is_near(d["nerve.g_NaP"], 8), [
        ("nothing", 0.2, 0.8, 4, 1, 8), ("Mg 0.55 mM", 0.55, 0.8, 4, 1, 8), ("Mg 1.2 mM", 1.2, 0.8, 4, 1, 8),
        ("Mg 2 mM", 2, 0.8, 4, 1, 8), ("Ca 1.2 mM", 0.2, 1.2, 4, 1, 8), ("K 5 mM", 0.2, 0.8, 5, 1, 8),
        ("K 3 mM", 0.2, 0.8, 3, 1, 8), ("Ca 1.2, Mg 0.55 mM", 0.55, 1.2, 4, 1, 8)]),
    ("Nerve and fibre:\npersistent Na × 1.75", lambda d: is_near(d["nerve.g_NaP"], 14), [
        ("nothing", 0.55, 1.2, 4, 1, 14), ("Mg 1.2 mM", 1.2, 1.2, 4, 1, 14), ("Mg 2 mM", 2, 1.2, 4, 1, 14),
        ("Ca 1.4 mM", 0.55, 1.4, 4, 1, 14), ("Ca 1.4, Mg 1.2 mM", 1.2, 1.4, 4, 1, 14), ("K 5 mM", 0.55, 1.2, 5, 1, 14),
        ("K 3 mM", 0.55, 1.2, 3, 1, 14), ("persistent Na halved", 0.55, 1.2, 4, 1, 7)]),
]


def supplement(data):
    """For each arm: when each fibre that failed fell silent, and how many did within 5 s."""
    failing = (data["nerve_before"].values >= -20) | (data["fibre_before"].values >= -60)
    ended = (data["nerve_end"].values <= -20) & (data["fibre_end"].values <= -60)
    last = np.fmax(data["n_after.last"].values, data["f_after.last"].values) - 1500
    silent = np.fmax(np.fmax(np.nan_to_num(last), data["depolarised"].values), 10) / 1000
    shake = np.random.default_rng(1)
    figure, panels = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
    for axis, (title, belongs, lines) in zip(panels, SUPPLEMENTS):
        for y, (words, *levels) in enumerate(lines):
            arm = belongs(data) & failing
            for name, level in zip(("Mg", "Ca", "K", "Cl", "NaP"), levels):
                arm &= is_near(data[f"protocol.{name}"], level)
            x = silent[arm & ended]
            axis.plot(x, y + shake.uniform(-0.2, 0.2, len(x)), "o", color=BLUE, ms=3, mew=0, alpha=0.75)
            goes_on = int((arm & ~ended).sum())
            axis.plot(7.5 + np.zeros(goes_on), y + shake.uniform(-0.25, 0.25, goes_on), ">", color=ORANGE, ms=3, mew=0, alpha=0.75)
            n = int(arm.sum())
            if n:
                low, high = wilson((arm & ended).sum(), n)
                axis.text(13, y, f"{len(x)} of {n}\n({100 * abs(low):.0f}–{100 * high:.0f} %)", va="center", fontsize=6.5, linespacing=0.9)
        axis.axvline(5, color=GREY, lw=0.6, ls=":")
        axis.set_xscale("log")
        axis.set(xlim=(0.008, 10), ylim=(len(lines) - 0.5, -0.5), xticks=[0.01, 0.1, 1, 5], xticklabels=["0.01", "0.1", "1", "5"])
        axis.set_yticks(range(len(lines)), [words for words, *_ in lines])
        axis.set_title(title)
        axis.minorticks_off()
    panels[1].set_xlabel("time from the change to silence (s, 0.01 or less at the left edge). Blue: a fibre that ended; orange: one that goes on after 5 s;\nat the right: how many ended, with the 95 % interval")
    return figure


CONDITIONS = [
    # words, Mg, Ca, K, persistent, chloride
    ("normal", BLACK, 0.55, 1.2, 4, 0.001, 1), ("magnesium 0.2 mM", SKY, 0.2, 1.2, 4, 0.001, 1),
    ("calcium 0.8,\nmagnesium 0.2 mM", BLUE, 0.2, 0.8, 4, 0.001, 1), ("potassium 6 mM", GREEN, 0.55, 1.2, 6, 0.001, 1),
    ("persistent sodium\ncurrent 2 %", PINK, 0.55, 1.2, 4, 0.02, 1), ("chloride\nconductance 10 %", ORANGE, 0.55, 1.2, 4, 0.001, 0.1),
]


def causes(data):
    """Rows: conditions. Columns: rising current, train on the membrane, train on the nerve; a fibre each, and the whole arm in words."""
    figure, panels = plt.subplots(6, 3, figsize=(9.6, 8), sharex="col", sharey=True, layout="constrained")
    time = seconds(data)
    first, count = data["ramp.first"].values, data["ramp.count"].values
    after_nerve, after_fibre = data["n_after.count"].values >= 3, data["f_after.count"].values >= 3
    depolarised = data["V500"].values > -60
    for row, (words, colour, *levels) in zip(panels, CONDITIONS):
        condition = np.ones(len(first), dtype=bool)
        for name, level in zip(("bath.Mg", "bath.Ca", "bath.K", "sodium.persistent", "chloride.fraction"), levels):
            condition &= is_near(data[name], level)
        for column, axis in enumerate(row):
            arm = condition & is_near(data["protocol.train"], column > 0) & is_near(data["protocol.nerve"], column > 1)
            n = int(arm.sum())
            # A fibre that does what most of its arm do.
            abnormal = after_nerve | after_fibre | depolarised
            alike = arm & (abnormal == (2 * (abnormal & arm).sum() > n)) if column else arm
            fibre = recorded(data, alike)[0]
            start, end, width = (0.1, 0.7, 0.9) if column == 0 else (1.2, 1.7802, 1.7)
            axis.axvspan(0, end - start, color=STIMULATED, lw=0)
            if column == 2:
                axis.plot(time - start, trace(data, "nerve.V", fibre) + 165, color=GREY, lw=0.4)
            axis.plot(time - start, trace(data, "membrane.V", fibre), color=colour, lw=0.5)
            axis.set(xlim=(-0.08, width - 0.1), ylim=(-100, 315), yticks=[-80, 0])
            if column == 0:
                current = 0.1 * (first[arm] - 100)
                text = f"rest {data['rest'].values[arm].mean():.1f} mV\nthreshold {np.nanmean(current):.1f} ± {np.nanstd(current, ddof=1):.1f} µA/cm²\n"
                text += f"spikes {count[arm].mean():.1f} ± {count[arm].std(ddof=1):.1f}"
            elif column == 1:
                text = f"fires on: {(after_fibre & arm).sum()} of {n}\nstays depolarised: {(depolarised & arm).sum()} of {n}"
            else:
                text = f"nerve fires on: {(after_nerve & arm).sum()} of {n}\nfibre fires on: {(after_fibre & arm).sum()}, depolarised: {(depolarised & arm).sum()}"
            axis.text(0.99, 0.98, text, ha="right", va="top", fontsize=6.8, transform=axis.transAxes)
        row[0].set_ylabel(words, color=colour)
    for axis, title in zip(panels[0], ("Current rising from 0 to 60 µA/cm²", "After a train on the membrane", "After a train on the nerve (nerve above)")):
        axis.set_title(title)
    panels[5, 1].set_xlabel("time (s); grey: stimulated")
    figure.supylabel("membrane potential (mV)", fontsize=8)
    return figure


def hyperkalaemia(data):
    """Rest, action potential and twitch in high potassium and after the wash."""
    k = data["bath.K"].values
    levels = np.unique(k)
    figure, panels = plt.subplots(1, 4, figsize=(10, 2.9), layout="constrained")
    quantities = [("V", "resting potential (mV)"), ("peak", "peak of the action potential (mV)"), ("force", "twitch (share of a tetanus)")]
    for axis, (name, words) in zip(panels, quantities):
        for when, colour, marker, label in (("high", ORANGE, "o", "in high potassium"), ("washed", BLUE, "s", "2 min after washing")):
            values = data[f"{name}_{when}"].values
            mean_line(axis, levels, [values[k == level] for level in levels], color=colour, marker=marker, label=label,
                      mfc=colour if when == "high" else "white")
        axis.set(xlabel="potassium before washing (mM)", ylabel=words, xticks=levels)
    panels[1].axhline(0, color=GREY, lw=0.6, ls=":")
    panels[0].set_ylim(top=-50)  # room for the legend
    panels[0].legend(loc="upper left")
    axis, time = panels[3], seconds(data)
    shades = dict(zip(levels, (BLACK, SKY, BLUE, GOLD, ORANGE)))
    for level in levels:
        fibre = recorded(data, k == level)[0]
        axis.plot(time, trace(data, "inside.Cl", fibre), color=shades[level])
        axis.text(123, trace(data, "inside.Cl", fibre)[-1], f"{level:g} mM", color=shades[level], va="center", fontsize=7)
    axis.set(xlabel="time (s); washed from 1 s", ylabel="chloride inside (mM)", xlim=(0, 120))
    return figure


def iv_curve(data):
    """Sodium current over time; currents by potential."""
    step, calcium = data["protocol.step"].values, data["bath.Ca"].values
    looks = {0.6: (ORANGE, "-", "0.6 mM"), 1.2: (BLACK, "--", "1.2 mM (normal)"), 2.4: (BLUE, ":", "2.4 mM")}
    figure, panels = plt.subplots(1, 4, figsize=(10.5, 2.9), layout="constrained")
    time = data["time"].values - 60
    shown = {-50: SKY, -40: BLUE, -20: GREEN, 0: GOLD, 20: ORANGE, 40: PINK}
    for level, colour in shown.items():
        fibre = recorded(data, is_near(step, level) & is_near(calcium, 1.2))[0]
        panels[0].plot(time, trace(data, "sodium.I", fibre) / 1000, color=colour, label=f"{level} mV")
    panels[0].set(xlim=(-0.3, 4), xlabel="time from the step (ms)", ylabel="sodium current (mA/cm²)", title="Sodium current, normal calcium")
    panels[0].legend(loc="lower right", ncols=2)
    inward, outward = data["I_Na_inward"].values, data["I_Na_outward"].values
    peak = np.where(np.abs(inward) > np.abs(outward), inward, outward) / 1000
    for level, (colour, line, words) in looks.items():
        chosen = is_near(calcium, level)
        panels[1].plot(step[chosen], peak[chosen], color=colour, ls=line, label=words)
        panels[2].plot(step[chosen], data["I_K"].values[chosen] / 1000, color=colour, ls=line, label=words)
    panels[1].set(ylabel="peak current (mA/cm²)", title="Sodium current")
    panels[2].set(ylabel="peak current (mA/cm²)", title="Delayed rectifier")
    panels[2].legend(title="calcium in the bath", loc="upper left")
    normal = is_near(calcium, 1.2)
    for name, colour, line, words in (("I_Cl", GREEN, "-", "chloride"), ("I_KIR", PINK, "--", "inward rectifier"), ("I_K", BLACK, ":", "delayed rectifier")):
        panels[3].plot(step[normal], data[name].values[normal], color=colour, ls=line, label=words)
    panels[3].set(xlim=(-140, -20), ylim=(-45, 75), ylabel="current at 59 ms (µA/cm²)", title="Near rest, normal calcium")
    panels[3].legend(loc="upper left")
    for axis in panels[1:]:
        axis.axhline(0, color=GREY, lw=0.5)
        axis.set_xlabel("clamped potential (mV)")
    return figure


def pump_block(data):
    """Potential and sodium of blocked fibres over time; what pumps and potential lose by ouabain and by magnesium."""
    ouabain, magnesium = data["protocol.ouabain"].values, data["magnesium.set"].values
    figure, panels = plt.subplots(1, 4, figsize=(10.5, 3.1), layout="constrained")
    time = data["time"].values / 60000
    shades = {0: BLACK, 0.25: SKY, 0.5: BLUE, 0.75: GOLD, 0.95: ORANGE}
    looks = [(f"ouabain {100 * level:g} %", colour, "-", is_near(ouabain, level) & is_near(magnesium, 569)) for level, colour in shades.items()]
    looks[0] = ("no ouabain", BLACK, "-", looks[0][3])
    looks.append(("magnesium a tenth", PINK, "--", is_near(magnesium, 57)))
    for words, colour, line, arm in looks:
        for axis, name in ((panels[0], "membrane.V"), (panels[1], "inside.Na")):
            mean = np.mean([trace(data, name, fibre) for fibre in recorded(data, arm)], axis=0)
            axis.plot(time, mean, color=colour, ls=line, label=words)
    for axis in panels[:2]:
        axis.axvspan(60, 61.52, color="0.85", lw=0)
        axis.set(xlabel="time (min); grey: 10 trains at 50 Hz", xlim=(0, time[-1]))
    panels[0].set(ylim=(None, -68), ylabel="membrane potential (mV)", title="Means of 8 fibres")
    panels[1].set(ylabel="sodium inside (mM)", title="Sodium")
    panels[0].legend(loc="upper left")
    arms = [("none", 0, 569), ("25 %", 0.25, 569), ("50 %", 0.5, 569), ("75 %", 0.75, 569), ("95 %", 0.95, 569),
            ("300", 0, 300), ("190", 0, 190), ("57", 0, 57)]
    members = [is_near(ouabain, o) & is_near(magnesium, mg) for _, o, mg in arms]
    x = np.array([0, 1, 2, 3, 4, 5.5, 6.5, 7.5])
    capacity = 100 * data["fuel"].values * (1 - ouabain)
    mean_line(panels[2], x, [capacity[m] for m in members], color=BLACK, marker="o", ls="none")
    panels[2].set(ylim=(0, 105), ylabel="pump capacity left (%)", title="What is left of the pump")
    for name, colour, marker, words in (("V_10min", BLACK, "o", "after 10 min"), ("V_60min", BLUE, "^", "after 60 min"), ("V_rested", ORANGE, "s", "8 min after work")):
        shift = data[name].values - data["V"].values
        mean_line(panels[3], x, [shift[m] for m in members], color=colour, marker=marker, ls="none", label=words)
    panels[3].axhline(0, color=GREY, lw=0.5)
    panels[3].set(ylabel="change of the resting potential (mV)", title="What the membrane notices")
    panels[3].set_ylim(top=1.5 * panels[3].get_ylim()[1])  # room for the legend
    panels[3].legend(loc="upper left")
    for axis in panels[2:]:
        axis.set_xticks(x, [words for words, *_ in arms], rotation=60)
        axis.set_xlabel("ouabain | magnesium inside (µM)")
    return figure


FATIGUE = [
    # words, colour, marker, and the study's columns: K_P, A_P, resynthesis, V_S, tau, regulated
    ("as it is", BLACK, "o", 20, 1, 8e-4, -71.7, 5000, 1), ("phosphate does not act on crossbridges", GOLD, "P", 1e6, 1, 8e-4, -71.7, 5000, 1),
    ("phosphate does not precipitate", ORANGE, "D", 20, 0, 8e-4, -71.7, 5000, 1), ("unlimited fuel, so no phosphate", PINK, "v", 20, 1, 0.5, -71.7, 5000, 1),
    ("no slow inactivation of sodium channels", BLUE, "s", 20, 1, 8e-4, -20, 5000, 1), ("potassium washed away", GREEN, "^", 20, 1, 8e-4, -71.7, 200, 1),
    ("chloride channels not regulated", SKY, "x", 20, 1, 8e-4, -71.7, 5000, 0), ("unlimited fuel and no slow inactivation", GREY, "*", 20, 1, 0.5, -20, 5000, 1),
]


def fatigue(data):
    """Tetani of the fibre as it is; force in all arms; what else changes."""
    arms = []
    for words, colour, marker, *levels in FATIGUE:
        arm = np.ones(len(data["F1"]), dtype=bool)
        names = ("phosphate.K_P", "phosphate.A_P", "metabolism.resynthesis_max_fast", "sodium.V_S_fast", "interstitium.tau", "chloride.regulated")
        for name, level in zip(names, levels):
            arm &= is_near(data[name], level)
        arms.append((words, colour, marker, arm))
    figure, panels = plt.subplots(1, 4, figsize=(11.5, 3.7), width_ratios=[1, 1.6, 1, 1], layout="constrained")
    time = seconds(data)
    fibre = recorded(data, arms[0][3])[0]
    force = trace(data, "force.F", fibre)
    for number, colour in ((1, BLACK), (5, BLUE), (10, GREEN), (20, GOLD), (60, ORANGE)):
        start = number
        shown = (time >= start - 0.05) & (time < start + 0.9)
        panels[0].plot(1000 * (time[shown] - start), force[shown], color=colour, label=f"{number}")
    panels[0].set(xlabel="time in the tetanus (ms)", ylabel="force (share of a saturating tetanus)", title="Tetani of one fibre as it is", ylim=(0, None))
    panels[0].legend(title="tetanus", loc="upper right")
    counts = (1, 2, 5, 10, 20, 30, 60)
    at = [*counts, 90, 120, 180, 360]
    names = [f"F{n}" for n in counts] + ["F_30s", "F_1min", "F_2min", "F_5min"]
    panels[1].axvspan(1, 60.3, color=STIMULATED, lw=0)
    for words, colour, marker, arm in arms:
        relative = [100 * data[name].values[arm] / data["F1"].values[arm] for name in names]
        mean_line(panels[1], at, relative, color=colour, marker=marker, label=words)
    panels[1].set(xlabel="time (s); grey: 60 tetani", ylabel="peak force (% of the first)", ylim=(0, 155), title="Force, and what takes it")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside lower center", ncols=4, title="fibres in the second panel")
    # Just before each tetanus, or the peak in it: what the fibre brings to it.
    start = 1 + np.arange(60)
    before = np.searchsorted(time, start - 0.02)
    peak = lambda name: np.array([trace(data, name, fibre)[b:b + 150].max() for b in before])
    calm = lambda name: np.array([np.median(trace(data, name, fibre)[b - 9:b]) for b in before])
    relative = [("peak force", peak("force.F"), BLACK, "-"), ("peak calcium", peak("calcium.Ca"), BLUE, "--"), ("SR calcium", calm("calcium.SR"), GREEN, ":")]
    for words, values, colour, line in relative:
        panels[2].plot(start, 100 * values / values[0], color=colour, ls=line, label=words)
    panels[2].set(xlabel="time (s)", ylabel="% of the first", ylim=(0, 145), title="The fibre of the first panel")
    panels[2].legend(loc="upper right")
    absolute = [("phosphocreatine", calm("metabolism.PCr"), PINK, "-"), ("phosphate", calm("phosphate.P"), ORANGE, "--"), ("tubular K, peak", peak("tubule.K"), GREEN, ":")]
    for words, values, colour, line in absolute:
        panels[3].plot(start, values, color=colour, ls=line, label=words)
    panels[3].set(xlabel="time (s)", ylabel="concentration (mM)", ylim=(0, 45), title="The same fibre")
    panels[3].legend(loc="upper right")
    return figure


def fibre_types(data):
    """Twitch, force by frequency, fatigue test."""
    slow = data["fibre.slow"].values
    looks = [("fast", ORANGE, "o", is_near(slow, 0)), ("slow", BLUE, "s", is_near(slow, 1))]
    figure, panels = plt.subplots(1, 4, figsize=(10.5, 2.9), layout="constrained")
    time = seconds(data)
    frequencies = [5, 10, 15, 20, 30, 40, 60, 80, 100]
    stimuli = [1, 10, 30, 60, 120]
    for words, colour, marker, arm in looks:
        force = trace(data, "force.F", recorded(data, arm)[0])
        twitch = time < 0.4
        panels[0].plot(1000 * time[twitch] - 10, force[twitch] / force[twitch].max(), color=colour, label=words)
        mean_line(panels[1], frequencies, [100 * data[f"F{f}"].values[arm] for f in frequencies], color=colour, marker=marker, label=words)
        relative = [100 * data[f"burke{n}"].values[arm] / data["burke1"].values[arm] for n in stimuli]
        mean_line(panels[2], stimuli, relative, color=colour, marker=marker, label=words)
        start = 142  # of the fatigue test
        tetanus = (time >= start - 0.02) & (time < start + 0.9)
        panels[3].plot(1000 * (time[tetanus] - start), 100 * force[tetanus], color=colour, label=f"{words}, first")
        tetanus = (time >= start + 119 - 0.02) & (time < start + 119.9)
        panels[3].plot(1000 * (time[tetanus] - start - 119), 100 * force[tetanus], color=colour, ls="--", label=f"{words}, last")
    panels[0].set(xlabel="time from the stimulus (ms)", ylabel="force (share of its peak)", title="Twitch", ylim=(0, None))
    panels[1].set(xlabel="stimuli per second", ylabel="peak force (% of a saturating tetanus)", title="Force by frequency", ylim=(0, 105))
    panels[2].set(xlabel="time of the fatigue test (s)", ylabel="peak force (% of the first)", title="Fatigue test, 40 Hz", ylim=(0, 108))
    panels[3].set(xlabel="time in the tetanus (ms)", ylabel="force (% of a saturating tetanus)", title="First and last of the test", ylim=(0, 108))
    for axis in panels:
        axis.legend()
    return figure


STUDIES = {
    "causes": causes, "cramp": plot_cramp.draw, "cramp_nerve": cramp_nerve, "fatigue": fatigue, "fibre_types": fibre_types,
    "hyperkalaemia": hyperkalaemia, "iv_curve": iv_curve, "pump_block": pump_block, "supplement": supplement,
}


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in STUDIES:
        sys.exit(__doc__)
    study, source = sys.argv[1:3]
    target = sys.argv[3] if len(sys.argv) > 3 else f"{study}.png"
    with open_result(source) as data:
        save(STUDIES[study](data), target)


if __name__ == "__main__":
    main()
