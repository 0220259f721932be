"""Checks result files against CF-1.11 with the IOOS compliance checker, and reads them lazily by xarray and dask, by netCDF4 and by ncdump.

Usage: conventions.py FILE ... Ends with an AssertionError if a file breaks a rule that is not named below, with the reason why it may.
"""

import os
import re
import subprocess
import sys
import tempfile
import warnings

import dask.array
import h5py
import netCDF4
import numpy as np
import xarray as xr
from compliance_checker.runner import CheckSuite

# What the checker finds and we leave: the beginning of the message, under the reason.
ACCEPTED = [
    # Names are those of the model; CF recommends letters, digits and underscores, and netCDF allows the dot.
    r"variable \S+ should begin with a letter and be composed of",
    # Time is counted from the start of the protocol. There is no date that it could be "since".
    r"time must be in a valid units format <unit> since <epoch> not ms",
    r"time does not have correct time units",
    r'Time coordinate variable "time" should have a string valued attribute "calendar"',
    # The other axis of traces is that of the fibres, which is neither space nor time: nothing is to be ordered.
    r"\S+'s spatio-temporal dimensions are not in the recommended order T, Z, Y, X .* time \(T\), (fibre|trace) \((U|L, unlimited)\)",
    # CF 7.3 allows a standard name in the place of a dimension; `time` is one. The checker knows dimensions only.
    r"\S+'s cell_methods name component time does not match a dimension, area or auxiliary coordinate",
]
# A fault of the checker: it wants a dimension `time` in every group.
BROKEN_CHECKS = {"check_invalid_same_named_dimension_across_groups"}

suite = CheckSuite()
suite.load_all_available_checkers()


def conventions(path):
    with tempfile.TemporaryDirectory() as folder:
        # CF wants the name to end in .nc.
        link = os.path.join(folder, "result.nc")
        os.symlink(os.path.abspath(path), link)
        dataset = suite.load_dataset(link)
        (scores, errors) = suite.run_all(dataset, ["cf:1.11"], [])["cf:1.11"]
        dataset.close()
    broken = {name.rsplit(".", 1)[-1] for name in errors}
    assert broken <= BROKEN_CHECKS, (path, errors)
    found = []

    def walk(result):
        found.extend(result.msgs or [])
        for child in result.children or []:
            walk(child)

    for result in scores:
        walk(result)
    for message in found:
        assert any(re.match(rule, message) for rule in ACCEPTED), (path, message)
    return len(found)


def lazily(path):
    """By chunks, and as one array: the same numbers."""
    with h5py.File(path) as file:
        traces = [name for name in file if file[name].attrs.get("role") in ("trace", b"trace")]
        chunks = {name: file[name].chunks for name in traces}
    plain = xr.open_dataset(path, engine="h5netcdf", decode_times=False)
    lazy = xr.open_dataset(path, engine="h5netcdf", decode_times=False, chunks={})
    for name in traces:
        array = lazy[name].data
        assert isinstance(array, dask.array.Array), (path, name)
        if chunks[name] is not None:
            shape = plain[name].shape
            assert array.chunksize == tuple(map(min, chunks[name], shape)), (path, name, array.chunksize, chunks[name])
        assert np.array_equal(lazy[name].compute().values, plain[name].values, equal_nan=True), (path, name)
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        for name in traces:
            assert np.array_equal(file[name][...], plain[name].values, equal_nan=True), (path, name)
    plain.close()
    lazy.close()


for path in sys.argv[1:]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        n = conventions(path)
    lazily(path)
    header = subprocess.run(["ncdump", "-h", path], capture_output=True, text=True, check=True).stdout
    assert 'Conventions = "CF-1.11"' in header, header
    subprocess.run(["h5dump", "-H", path], capture_output=True, check=True)
    print(f"{path}: CF-1.11, {n} findings of known reasons; xarray with and without dask, netCDF4, h5py, ncdump, h5dump agree")
