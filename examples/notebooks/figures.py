"""What the figures of the studies share: colours, intervals, reading, saving.

Needs xarray, h5netcdf and matplotlib (with Pillow, which matplotlib brings).
"""

import io

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from PIL import Image

# Okabe and Ito's colours: told apart by people with any kind of colour vision.
BLACK, BLUE, ORANGE, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
SKY, PINK, GOLD, YELLOW, GREY = "#56B4E9", "#CC79A7", "#E69F00", "#F0E442", "0.55"
STIMULATED = "0.92"  # shade of the time in which stimuli come

plt.rcParams.update(
    {
        "font.size": 8,
        "axes.titlesize": 9,
        "axes.titlelocation": "left",
        "axes.labelsize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "legend.fontsize": 7.5,
        "legend.title_fontsize": 7.5,
        "lines.linewidth": 1.1,
    }
)


def wilson(count, of, z=1.959964):
    """The 95 % interval of a share (Wilson 1927)."""
    p = count / of
    centre = (p + z**2 / (2 * of)) / (1 + z**2 / of)
    half = z / (1 + z**2 / of) * np.sqrt(p * (1 - p) / of + z**2 / (4 * of**2))
    return centre - half, centre + half


def share_line(axis, x, members, **look):
    """Shares in per cent with their intervals; `members` holds for each x which fibres of its group are counted (true or false)."""
    count = np.array([m.sum() for m in members])
    of = np.array([len(m) for m in members])
    p = count / of
    low, high = wilson(count, of)
    axis.errorbar(x, 100 * p, yerr=100 * np.array([p - low, high - p]).clip(0), capsize=2, ms=4, **look)


def mean_line(axis, x, groups, **look):
    """Means with standard deviations of the fibres of each x."""
    mean = [np.nanmean(g) for g in groups]
    sd = [np.nanstd(g, ddof=1) for g in groups]
    axis.errorbar(x, mean, yerr=sd, capsize=2, ms=4, **look)


def open_result(path):
    return xr.open_dataset(path, engine="h5netcdf")


def is_near(values, level):
    """Which fibres have that level of a factor."""
    return np.isclose(np.asarray(values, dtype=float), level, rtol=1e-6, atol=1e-9)


def recorded(data, chosen):
    """The recorded fibres among those for which `chosen` (one truth value for each fibre of the study) holds."""
    traces = data["trace"].values if "trace" in data else data["fibre"].values
    return traces[chosen[traces]]


def trace(data, name, fibre):
    """A recorded variable of one fibre."""
    axis = "trace" if "trace" in data[name].dims else "fibre"
    return data[name].sel({axis: fibre}).values


def seconds(data):
    return data["time"].values / 1000


def save(figure, target, dpi=130, colours=128):
    """Writes a PNG with a palette, a third of the size of one without."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dpi, format="png")
    buffer.seek(0)
    picture = Image.open(buffer).convert("RGB").quantize(colours, dither=Image.Dither.NONE)
    picture.save(target, optimize=True)
    plt.close(figure)
    print(f"wrote {target}")
