"""The axon in Brian2: C++ standalone, `exponential_euler` for all four states, compiled with -Ofast -march=native, one thread.

The pulse is a shared quantity, so that it is computed once a step and not once a neuron. Opening rates are written with `exp` rather than
`exprel`: the loop then has no branch and the compiler makes vectors of it.
"""

import os
import re
import subprocess

import brian2
import numpy
from brian2 import ms

import axon

EQUATIONS = f"""
dv/dt = (stimulus - 120*m**3*h*(v - 115) - 36*n**4*(v + 12) - 0.3*(v - 10.613))/ms : 1
dm/dt = (u/(1 - exp(-u))*(1 - m) - 4*exp(v*(-1/18))*m)/ms : 1
dh/dt = (0.07*exp(v*-0.05)*(1 - h) - 1/(1 + exp(3 - 0.1*v))*h)/ms : 1
dn/dt = (0.1*w/(1 - exp(-w))*(1 - n) - 0.125*exp(v*0.0125)*n)/ms : 1
u = 0.1*v - 2.5 : 1
w = 0.1*v - 1 : 1
since = timestep(t, dt) - {round(axon.START_MS / axon.STEP_MS)} : integer (shared)
within = since % {round(axon.PERIOD_MS / axon.STEP_MS)} : integer (shared)
stimulus = {axon.AMPLITUDE_UA_PER_CM2}*int(since >= 0)*int(within < {round(axon.LENGTH_MS / axon.STEP_MS)}) : 1 (shared)
"""


def main():
    args = axon.arguments(__doc__, fibres=2048, duration_ms=200, precisions=("f64", "f32"))
    folder = axon.build_folder(f"brian2_{args.precision}_{args.fibres}_{args.duration_ms:g}")
    brian2.set_device("cpp_standalone", build_on_run=False)
    brian2.prefs.codegen.cpp.extra_compile_args_gcc = ["-w", "-Ofast", "-march=native"]
    brian2.prefs.core.default_float_dtype = numpy.float64 if args.precision == "f64" else numpy.float32
    brian2.defaultclock.dt = axon.STEP_MS * ms

    spiking = dict(threshold=f"v > {axon.THRESHOLD_MV}", refractory=f"v > {axon.THRESHOLD_MV}") if args.check else {}
    fibres = brian2.NeuronGroup(args.fibres, EQUATIONS, method="exponential_euler", **spiking)
    for name, value in axon.START.items():
        setattr(fibres, name, value)
    monitor = brian2.SpikeMonitor(fibres) if args.check else None

    start = """auto now = [](clockid_t which) { timespec t; clock_gettime(which, &t); return t.tv_sec + 1e-9*t.tv_nsec; };
        double cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);"""
    end = 'std::printf("cpu %.6f wall %.6f\\n", now(CLOCK_PROCESS_CPUTIME_ID) - cpu, now(CLOCK_MONOTONIC) - wall);'
    brian2.device.insert_code("before_network_run", start)
    brian2.device.insert_code("after_network_run", end)
    brian2.run(args.duration_ms * ms)
    brian2.device.build(directory=folder, run=args.check)

    if args.check:
        axon.report_spikes(monitor.t / ms)
    else:
        said = subprocess.run([os.path.join(folder, "main")], cwd=folder, capture_output=True, text=True, check=True).stdout
        cpu_s, wall_s = map(float, re.search(r"cpu (\S+) wall (\S+)", said).groups())
        axon.report_speed(args, cpu_s, wall_s)


if __name__ == "__main__":
    main()
