"""Reads a result file while its run goes on, and after the run was killed, by h5py, netCDF4 and xarray, each time opened anew.

Usage: running.py PROGRAM FOLDER. Ends with an AssertionError if a file does not open, or holds something that is not whole.
"""

import os
import signal
import subprocess
import sys
import time
import warnings

import h5py
import netCDF4
import numpy as np
import xarray as xr

warnings.simplefilter("error", xr.SerializationWarning)
program, folder = sys.argv[1:]
os.chdir(folder)

STUDY = """
title = "Looked at while it runs"
model = "hodgkin_huxley_1952"
duration = "3 s"
settle = "400 ms"
tolerance = 0.0002  # steps enough that there is time to look and to kill, on a fast machine too
[population]
fibres = 2000
[population.parameters]
"sodium.g" = { uniform = [90, 140] }
[[protocol.pulse]]
start = "5 ms"
length = "0.5 ms"
period = "11 ms"
count = 250
[record]
variables = ["membrane.V"]
every = "1 ms"
[features]
spikes = { of = "membrane.V", threshold = "0 mV" }
"""
with open("running.toml", "w") as file:
    file.write(STUDY)
OUTPUT = "running.h5"


def by_h5py():
    with h5py.File(OUTPUT, "r") as file:
        events = file["events/spike_time"][:]
        return file.attrs["status"], file["time"][:], file["membrane.V"][:, ::97], events


def by_netcdf4():
    with netCDF4.Dataset(OUTPUT) as file:
        file.set_auto_mask(False)
        group = file["events"]
        return file.status, file["time"][:], file["membrane.V"][:, ::97], group["spike_time"][:]


def by_xarray():
    with xr.open_dataset(OUTPUT, engine="h5netcdf") as file:
        with xr.open_dataset(OUTPUT, engine="h5netcdf", group="events") as group:
            return file.attrs["status"], file["time"].values, file["membrane.V"].values[:, ::97], group["spike_time"].values


READERS = [by_h5py, by_netcdf4, by_xarray]


def look(reader):
    """The status, the number of whole rows, and these rows; whatever is told of as whole is."""
    status, times, values, events = reader()
    whole = np.isfinite(times)
    rows = int(np.argmin(whole)) if not whole.all() else len(times)
    # Rows come in order; a reader between two writes may see one part of a commit.
    assert not whole[rows:].any(), (reader.__name__, rows)
    assert np.array_equal(times[:rows], np.arange(rows) * 1.0), reader.__name__
    assert np.isfinite(values[:rows]).all(), (reader.__name__, rows)
    told = events[np.isfinite(events)]
    assert (told >= 0).all() and (told <= 3000).all(), reader.__name__
    return status, rows, values[:rows].copy()


def start(*arguments):
    return subprocess.Popen([program, *arguments, "--quiet", "--checkpoint-every", "100 ms"])


subprocess.run([program, "run", "running.toml", "-o", "whole.h5", "--backend", "cpu", "--quiet", "--force"], check=True)
run = start("run", "running.toml", "-o", OUTPUT, "--backend", "cpu", "--force")
seen, looks, kills = set(), 0, 0
while run.poll() is None:
    if not os.path.exists(OUTPUT):
        time.sleep(0.005)
        continue
    reader = READERS[looks % 3]
    looks += 1
    status, rows, values = look(reader)
    assert status in ("running", "complete"), status
    seen.add(rows)
    if kills < 3 and looks % 4 == 3 and status == "running":
        run.send_signal(signal.SIGKILL)
        run.wait()
        kills += 1
        # A killed file: all readers at once, and all see the same.
        found = [look(reader) for reader in READERS]
        assert len({rows for _, rows, _ in found}) == 1, [rows for _, rows, _ in found]
        assert all(np.array_equal(found[0][2], values) for _, _, values in found)
        run = start("resume", OUTPUT)
assert run.returncode == 0, run.returncode
assert kills == 3 and len(seen) > 3, (kills, seen)

with h5py.File("whole.h5", "r") as a, h5py.File(OUTPUT, "r") as b:
    assert b.attrs["status"] == "complete"
    names = []
    a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    for name in names:
        if not name.startswith("checkpoint/"):
            assert a[name].shape == b[name].shape, name
            assert not a[name].size or a[name][()].tobytes() == b[name][()].tobytes(), name
print(f"{looks} looks, {kills} kills, whole rows seen: {sorted(seen)}")
