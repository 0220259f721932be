"""Judges a result file with the libraries that researchers use: h5py, netCDF4, xarray + h5netcdf.

Usage: readers.py FILE EXPECTED.json, where the JSON says what the file must hold. Ends with an AssertionError if it does not.
"""

import json
import sys
import warnings

import h5netcdf  # noqa: F401  (the engine that xarray is told to use)
import h5py
import netCDF4
import numpy as np
import xarray as xr

warnings.simplefilter("error", xr.SerializationWarning)
path, expected = sys.argv[1], json.load(open(sys.argv[2]))
n_rows, n_fibres, n_traces = expected["rows"], expected["fibres"], expected["traces"]
whole = expected["whole"]
axis = "fibre" if expected["trace_ids"] is None else "trace"
finished = expected["status"] == "complete"

TEXTS = ["Conventions", "title", "source", "sarcolemma_version", "study", "model", "model_sha256", "scheme", "precision", "backend",
         "device", "driver", "created", "history", "status"]
NUMBERS = ["tolerance", "seed", "n_lost"]


def value(variable):
    row, trace = np.meshgrid(np.arange(whole), np.arange(n_traces), indexing="ij")
    return variable * 1000 + row + (trace % 1024) / 1024


def check_root(attributes, who):
    for name in TEXTS:
        assert isinstance(attributes[name], str), (who, name, type(attributes[name]))
    for name in NUMBERS:
        assert np.ndim(attributes[name]) == 0, (who, name)
    for name, wanted in expected["attributes"].items():
        assert attributes[name] == wanted, (who, name, attributes[name], wanted)
    assert attributes["Conventions"] == "CF-1.11"
    assert attributes["status"] == expected["status"], (who, attributes["status"])
    assert attributes["n_lost"] == (1 if expected["status"] != "running" else 0)


def check_values(get, who):
    """`get(name)` gives an array of everything under that path."""
    time = np.asarray(get("time"))
    assert time.shape == (n_rows,) and time.dtype == np.float64, who
    assert np.array_equal(time[:whole], np.arange(whole) * 0.5), who
    assert np.isnan(time[whole:]).all(), who
    fibre = np.asarray(get("fibre"))
    assert fibre.dtype == np.int64 and np.array_equal(fibre, 100 + np.arange(n_fibres)), who
    if expected["trace_ids"] is not None:
        assert np.array_equal(get("trace"), expected["trace_ids"]), who
    for number, name in enumerate(["membrane.V", "force.F"]):
        trace = np.asarray(get(name))
        assert trace.shape == (n_rows, n_traces) and trace.dtype == np.dtype(expected["precision"]), (who, name)
        assert np.array_equal(trace[:whole], value(number)), (who, name)
    index = np.arange(n_fibres, dtype=float)
    assert np.array_equal(get("bath.Mg"), 0.1 + index), who
    assert np.array_equal(get("chloride.fraction"), 1 / (1 + index)), who
    count, peak = np.asarray(get("spikes.count")), np.asarray(get("peak_V"))
    status, lost_at, lost_variable = (np.asarray(get(n)) for n in ("status", "lost_at", "lost_variable"))
    assert status.dtype == np.uint8 and lost_variable.dtype == np.int16, (who, status.dtype, lost_variable.dtype)
    if expected["status"] == "running":
        assert np.isnan(count).all() and np.isnan(peak).all() and (status == 2).all(), who
    else:
        assert np.array_equal(count, index), who
        peaks = 30 + index
        peaks[1] = np.nan
        assert np.array_equal(peak, peaks, equal_nan=True), who
        others = 0 if finished else 2
        assert status[1] == 1 and (np.delete(status, 1) == others).all(), who
        assert lost_at[1] == 1.25 and np.isnan(np.delete(lost_at, 1)).all(), who
        assert lost_variable[1] == 1 and (np.delete(lost_variable, 1) == -1).all(), who
        assert np.array_equal(get("agreement/max_difference"), [1e-4, 3e-4]), who
        assert np.array_equal(get("agreement/rms_difference"), [2e-5, 4e-5]), who
        assert np.array_equal(get("agreement/feature_difference"), [1, 0.0625]), who
        assert np.asarray(get("agreement/spike_shift")) == 0.004, who
        assert np.array_equal(np.asarray(get("agreement/rerun_fibre"))[:2], [100, 102]), who
        assert np.array_equal(np.asarray(get("agreement/spike_count_differs"))[:2], [0, 1]), who
        assert np.array_equal(get("agreement/drawn_feature_difference"), [0, 0.03125]), who
        assert np.array_equal(np.asarray(get("agreement/near_threshold"))[:2], [0, 1]), who
        assert np.array_equal(np.asarray(get("agreement/reference_spike_count"))[:2], [12, 13]), who
        assert np.array_equal(np.asarray(get("agreement/parts_at"))[:2], [812.5, 812.5]), who
    row = np.arange(min(whole, expected["events_inside"]))
    times, fibres, features = (np.asarray(get(f"events/spike_{n}")) for n in ("time", "fibre", "feature"))
    n = len(row)
    assert np.array_equal(times[:n], row * 0.5 + 0.125) and np.array_equal(fibres[:n], 100 + row % 3), who
    assert np.array_equal(features[:n], row % 2), who
    if finished:
        assert len(times) == len(fibres) == len(features) == whole, (who, len(times))
        assert len(np.asarray(get("agreement/rerun_fibre"))) == 2, who
    else:
        assert np.isnan(times[n:]).all() and (fibres[n:] == -1).all(), who


def check_attributes(attribute, who):
    """`attribute(path, name)` gives one attribute of one variable."""
    for name, units in {"time": "ms", "fibre": "1", "membrane.V": "mV", "force.F": "1", "bath.Mg": "mM", "peak_V": "mV", "status": "1",
                        "lost_at": "ms", "lost_variable": "1", "events/spike_time": "ms", "events/spike_fibre": "1",
                        "agreement/spike_shift": "ms", "agreement/max_difference": "1"}.items():
        if units is not None:
            assert attribute(name, "units") == units, (who, name)
        assert isinstance(attribute(name, "long_name"), str), (who, name)
    assert attribute("membrane.V", "long_name") == "surface membrane potential"
    for name in ["membrane.V", "bath.Mg", "peak_V", "lost_at", "events/spike_time"]:
        assert np.isnan(attribute(name, "_FillValue")), (who, name)
    assert attribute("peak_V", "cell_methods") == "time: maximum", who
    assert list(attribute("status", "flag_values")) == [0, 1, 2], who
    assert attribute("status", "flag_meanings") == "finished lost stopped", who
    assert list(attribute("lost_variable", "flag_values")) == [-1, 0, 1], who
    assert attribute("lost_variable", "flag_meanings") == "none membrane.V sodium.m", who
    assert attribute("events/spike_fibre", "instance_dimension") == "fibre", who
    assert list(attribute("events/spike_feature", "flag_values")) == [0, 1], who
    assert attribute("events/spike_feature", "flag_meanings") == "spikes after", who
    assert attribute("agreement/variable", "flag_meanings") == "membrane.V force.F", who


with h5py.File(path, "r") as file:
    check_root(dict(file.attrs), "h5py")
    check_values(lambda name: file[name][()], "h5py")
    check_attributes(lambda name, attribute: file[name].attrs[attribute], "h5py")
    trace = file["membrane.V"]
    assert [trace.dims[0][0].name, trace.dims[1][0].name] == ["/time", f"/{axis}"], trace.dims[0]
    bytes_ = trace.dtype.itemsize * np.prod(trace.chunks or trace.shape)
    assert bytes_ <= 4 << 20 and (trace.chunks is None or bytes_ >= 1 << 18), (trace.chunks, bytes_)
    packed = ("gzip", True) if expected["compressed"] else (None, False)
    assert (trace.compression, trace.shuffle) == packed, trace.compression
    for name in ("time", "fibre"):
        assert file[name].is_scale, name

with netCDF4.Dataset(path) as file:
    file.set_auto_mask(False)

    def find(name):
        return file[name] if "/" in name else file.variables[name]

    def dimensions(group):
        return {name: len(dimension) for name, dimension in group.dimensions.items()}

    wanted = {"time": n_rows, "fibre": n_fibres} | ({} if axis == "fibre" else {"trace": n_traces})
    assert dimensions(file) == wanted, dimensions(file)
    check_root({name: file.getncattr(name) for name in file.ncattrs()}, "netCDF4")
    check_values(lambda name: find(name)[...], "netCDF4")
    check_attributes(lambda name, attribute: find(name).getncattr(attribute), "netCDF4")
    assert file.variables["membrane.V"].dimensions == ("time", axis)
    assert file.variables["peak_V"].dimensions == ("fibre",)
    assert file["events/spike_time"].dimensions == ("event",)
    assert file["agreement/max_difference"].dimensions == ("variable",)
    assert set(file.groups) == {"events", "agreement", "checkpoint"}, set(file.groups)
    for group in [file, *file.groups.values()]:
        assert not [n for n in group.dimensions if "phony" in n], dimensions(group)
        for name in group.variables:
            assert group.variables[name].units, name

groups = {group: xr.open_dataset(path, engine="h5netcdf", group=group, decode_times=False)
          for group in (None, "events", "agreement", "checkpoint")}
root = groups[None]


def variable(name):
    group, _, member = name.rpartition("/")
    return groups[group or None][member]


check_root(dict(root.attrs), "xarray")
check_values(lambda name: variable(name).values, "xarray")
check_attributes(lambda name, attribute: (variable(name).attrs | variable(name).encoding)[attribute], "xarray")
assert root["membrane.V"].dims == ("time", axis)
assert set(root.coords) == {"time", "fibre"} | ({axis} - {"fibre"}), set(root.coords)
assert groups["events"]["spike_time"].dims == ("event",)
one = root["membrane.V"].sel({axis: root[axis][0]})
assert one.shape == (n_rows,) and one[0] == 0
# As written down for users, with times decoded as they come.
with xr.open_dataset(path, engine="h5netcdf") as dataset:
    assert "membrane.V" in dataset
print("readers agree")
