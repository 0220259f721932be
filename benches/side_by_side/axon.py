"""What the programs of the comparison share: the stimulus, the arguments, the clock and the line that each of them prints.

The axon is that of `models/hodgkin_huxley_1952.mmt`, with voltages counted from rest (`v` = V + 75 mV), so that the same number means the
same thing in every program, whichever rest it likes.
"""

import argparse
import json
import os
import tempfile
import time

STEP_MS = 0.01
AMPLITUDE_UA_PER_CM2 = 20
START_MS, LENGTH_MS, PERIOD_MS = 10, 0.5, 20
THRESHOLD_MV = 75  # of a spike, from rest: 0 mV in the model's convention
START = dict(v=0, m=0.05, h=0.6, n=0.325)


def arguments(description, fibres, duration_ms, precisions=("f64",)):
    """What every program may be told; it measures, or with --check tells the spikes of a fibre in one second."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fibres", type=int, default=fibres)
    parser.add_argument("--duration-ms", type=float, default=duration_ms)
    parser.add_argument("--precision", choices=precisions, default=precisions[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if args.check:
        args.fibres, args.duration_ms = 1, 1000
    args.steps = round(args.duration_ms / STEP_MS)
    return args


class Clock:
    """Processor time and time by the wall within a `with`, ended children included."""

    def __enter__(self):
        self.wall_s, self.cpu_s = -time.perf_counter(), -self.processor_s()
        return self

    def __exit__(self, *_):
        self.wall_s += time.perf_counter()
        self.cpu_s += self.processor_s()

    @staticmethod
    def processor_s():
        """User and system time of all threads; the first to more digits than `os.times` has."""
        times = os.times()
        return time.process_time() + times.children_user + times.children_system


def build_folder(name):
    """Where what was compiled is kept between calls."""
    folder = os.path.join(tempfile.gettempdir(), "sarcolemma_side_by_side", name)
    os.makedirs(folder, exist_ok=True)
    return folder


def crossings_ms(v, step_ms=STEP_MS, threshold=THRESHOLD_MV):
    """Times at which a course, one value a step, comes over the threshold."""
    return [
        (i + (threshold - a) / (b - a)) * step_ms
        for i, (a, b) in enumerate(zip(v, v[1:]))
        if a <= threshold < b
    ]


def report_speed(args, cpu_s, wall_s, steps=None):
    steps = args.steps if steps is None else steps
    report(fibres=args.fibres, fibre_steps_per_s=args.fibres * steps / cpu_s, cpu_s=cpu_s, wall_s=wall_s)


def report_spikes(times_ms):
    report(spikes=len(times_ms), first_ms=float(times_ms[0]), last_ms=float(times_ms[-1]))


def report(**what):
    print(json.dumps(what), flush=True)
