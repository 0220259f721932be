"""The axon in NEURON (or, with --core, CoreNEURON): single compartments, built-in `hh`, fixed step, implicit Euler for the potential.

`hh` is the axon at 6.3 degrees with rest at -65 mV, rates from a table, and the paper's closing rate of potassium (see the note in
`hodgkin_huxley_1952.mmt`): not quite the model of the comparison, but the same work. nrnivmodl compiles the stimulus from `pulses.mod`.
"""

import os
import shutil
import subprocess
import sys

import axon

REST_MV = -65
SHORT_MS = 1  # a run that is taken off the long one: what starting costs


def build():
    """Compiles the stimulus once, and makes the folder current: NEURON looks for its library there."""
    folder = axon.build_folder("neuron")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pulses.mod")
    shutil.copy(source, folder)
    os.chdir(folder)
    if not os.path.exists("x86_64/special"):
        tool = os.path.join(os.path.dirname(sys.executable), "nrnivmodl")
        path = os.path.dirname(tool) + os.pathsep + os.environ["PATH"]
        command = [tool, "-coreneuron", "-incflags", "-Ofast -march=native", "."]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})


def main():
    core = "--core" in sys.argv
    sys.argv = [a for a in sys.argv if a != "--core"]
    args = axon.arguments(__doc__, fibres=128 if core else 512, duration_ms=1000 if core else 250)
    build()
    from neuron import coreneuron, h

    fibres = [h.Section(name=f"fibre{i}") for i in range(args.fibres)]
    for fibre in fibres:
        fibre.L = fibre.diam = 10
        fibre.insert("hh")
        fibre.insert("pulses")
    h.celsius = 6.3
    h.dt = axon.STEP_MS
    h.CVode().active(False)
    coreneuron.enable = core
    coreneuron.verbose = 0
    context = h.ParallelContext()
    context.set_gid2node(0, 0)
    spikes = h.NetCon(fibres[0](0.5)._ref_v, None, sec=fibres[0])
    spikes.threshold = REST_MV + axon.THRESHOLD_MV
    context.cell(0, spikes)
    times, who = h.Vector(), h.Vector()
    if args.check:
        context.spike_record(0, times, who)
    context.set_maxstep(10)

    def run(duration_ms):
        h.finitialize(REST_MV)
        with axon.Clock() as clock:
            context.psolve(duration_ms)
        return clock

    short, long = (None, run(args.duration_ms)) if args.check else (run(SHORT_MS), run(args.duration_ms))
    if args.check:
        axon.report_spikes(list(times))
    else:
        steps = round((args.duration_ms - SHORT_MS) / axon.STEP_MS)
        axon.report_speed(args, long.cpu_s - short.cpu_s, long.wall_s - short.wall_s, steps)


if __name__ == "__main__":
    main()
